import { expectEqual, startConnector, test } from "tbgw/testing";
import config from "./connector.json" with { type: "json" };
import connector from "./connector.ts";

test("the values of a device arrive under its name", async () => {
  await using running = await startConnector(connector, config);
  const { deviceName, telemetry } = await running.record();
  expectEqual(deviceName, "Meter 1");
  expectEqual(telemetry?.[0]?.values, { temperature: 21.5 });
});

test("a method that a device does not know is answered with 404", async () => {
  await using running = await startConnector(connector, config);
  await running.record();
  const reply = await running.rpc("Meter 1", "explode", null);
  expectEqual(reply, {
    error: '"Meter 1" knows no method "explode"',
    code: 404,
    success: false,
  });
});
