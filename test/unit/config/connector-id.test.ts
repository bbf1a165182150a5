import { expect, test } from "bun:test";
import { connectorId } from "../../../src/config/connector-id.ts";

test("connectorId() is the UUIDv5 of type and name in the DNS namespace", () => {
  // Computed with Python: uuid.uuid5(uuid.NAMESPACE_DNS, "tbgw:mqtt:MQTT Broker").
  expect(connectorId("mqtt", "MQTT Broker")).toBe("52ad330f-5850-515e-bf7c-697b31b24da8");
  expect(connectorId("modbus", "Größe")).toBe("eef8965f-679c-51b9-9d1a-a8233ae69876");
});
