import { expect, test } from "bun:test";
import type { Connector } from "../../../src/sdk/connector.ts";
import type { Values } from "../../../src/sdk/model.ts";
import { Announced } from "../../../src/service/announced.ts";
import { Attributes } from "../../../src/service/attributes.ts";
import { ConnectorDirectory } from "../../../src/service/connector-directory.ts";
import { Downlinks } from "../../../src/service/downlinks.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { until } from "../../support/until.ts";

const DEVICE = { connectorId: "c1", connected: true };

function setUp() {
  const platform = new PlatformLink();
  const announced = new Announced(platform);
  const directory = new ConnectorDirectory();
  const { log } = memoryLog();
  const downlinks = new Downlinks(log);
  const attributes = new Attributes({
    clock: new FakeClock(),
    log,
    publisher: { publish: async () => undefined },
    platform,
    downlinks,
    announced,
    devices: {
      get: () => DEVICE,
      of: () => [],
      onConnected: () => ({ [Symbol.dispose]: () => undefined }),
      localName: (name) => name,
      platformName: (name) => name,
    },
    directory,
    count: () => undefined,
    syncs: true,
  });
  const push = (values: Values): void =>
    downlinks.receive("v1/gateway/attributes", JSON.stringify({ device: "Pump", data: values }));
  return { attributes, announced, directory, platform, push };
}

test("what waits for a device is dropped when the device is forgotten, and it has to be announced again", async () => {
  const { attributes, announced, directory, platform, push } = setUp();
  platform.update(true);
  announced.add("Pump");
  push({ limit: 1, old: true });
  attributes.forget("Pump");
  expect(announced.has("Pump")).toBe(false);
  push({ limit: 2 });
  const taken: Values[] = [];
  const connector: Connector = {
    run: async () => undefined,
    handleAttributes: async ({ values }) => {
      taken.push(values);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  directory.add({ id: "c1", name: "Plant", type: "mqtt", connector });
  await until("the connector has them", () => taken.length > 0);
  expect(taken).toEqual([{ limit: 2 }]);
});
