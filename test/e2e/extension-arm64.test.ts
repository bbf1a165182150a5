// An extension inside the ARM64 program, executed under user-mode emulation.
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { connectorText } from "../support/extension-files.ts";
import { ExtensionGateway } from "../support/extension-gateway.ts";
import { until } from "../support/until.ts";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-arm64");
/** Emulation is slow. */
const TIMEOUT_MS = 180_000;

/** Sends one value as a device, through a converter of its own, and answers a call. */
const BODY = `
  const convert = await host.converters.uplink("Reading", config);
  await host.uplink.accept(convert({ value: config.period }), signal);
`;
const READING = `import { defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";
export default defineUplink({
  name: "Reading", type: "beacon", schema: v.looseObject({ period: v.number() }),
  create: () => ({ value }: { value: number }) =>
    ({ deviceName: "Board", telemetry: [{ values: { level: new Float(value), big: 2n ** 53n + 1n } }] }),
});
`;

test(
  "the arm64 program runs a connector and a converter from files, beside a broken one",
  async () => {
    const entry = { type: "beacon", name: "Beacon", file: { period: 25, more: 1 } };
    await using gateway = await ExtensionGateway.create([entry], {
      "beacon/beacon.ts": connectorText({ body: BODY }),
      "beacon/reading.ts": READING,
      "beacon/broken.ts": "export default {{",
    });
    const prefix = ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"];
    await gateway.start([], { prefix, binary: BINARY }, 90_000);
    await until("the values have arrived", () => gateway.texts("Board", "big").length > 0, 60_000);
    expect(gateway.texts("Board", "level")).toEqual(["25.0"]);
    expect(gateway.texts("Board", "big")).toEqual(["9007199254740993"]);
    expect(gateway.process.output).toContain("Extension cannot be used");
    expect(gateway.process.output).toContain("broken.ts");
  },
  TIMEOUT_MS,
);
