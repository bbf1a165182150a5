import { expect, test } from "bun:test";
import { connectorFileName } from "../../../src/logging/file-names.ts";

test.each([
  ["MQTT Broker", "connector", "mqtt_broker_connector.log"],
  ["OPC-UA Plant#2", "converter", "opc_ua_plant2_converter.log"],
  ["myModbusTCP", "connector", "my_modbus_tcp_connector.log"],
  ["../../etc/passwd", "connector", "etcpasswd_connector.log"],
  ["Halle Süd", "connector", "halle_süd_connector.log"],
] as const)("the file of %p, %p is %p", (name, kind, file) => {
  expect(connectorFileName(name, kind)).toBe(file);
});

test("the file of a long name is one a file system takes", () => {
  const file = connectorFileName("ü".repeat(400), "connector");
  expect(Buffer.byteLength(file)).toBeLessThan(220);
  expect(file).toEndWith("_connector.log");
});
