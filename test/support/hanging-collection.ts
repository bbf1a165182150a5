// A collection thread that stores a record and then never comes back: `bun hanging-collection.ts DATA_DIR`.
import { DeliveryClient } from "../../src/delivery/client.ts";
import { systemClock } from "../../src/sdk/clock.ts";

const client = await DeliveryClient.open(
  {
    dataDir: process.argv[2] ?? "",
    storage: {
      kind: "sqlite",
      maxRecords: 1000,
      maxBytes: undefined,
      ttlMs: 0,
      whenFull: "drop-oldest",
      durability: "durable",
      commitIntervalMs: 250,
      drain: "fifo",
    },
    session: undefined,
    logLevel: "none",
  },
  { clock: systemClock, sink: () => undefined },
);
client.working("Endless converter");
const record = { kind: "telemetry", device: "A", deviceType: "default", values: 1 } as const;
await client.append(
  [{ ...record, json: '{"ts":1,"values":{"n":1}}' }],
  { urgent: true },
  new AbortController().signal,
);
console.log("stored");
for (;;) {
  Math.random();
}
