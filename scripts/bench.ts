// Measurements on real peers: `bun run bench [mqtt-ingest|mqtt-load|start|idle|drain|backlog|report-cache|modbus-line|modbus-scale|opcua-scale|opcua-soak] [--messages N] [--values N] [--minutes N]`. Needs mosquitto and `bun run build`.
// Machines are noisy: compare within one run, by the ratios.
import { backlog } from "./bench/backlog.ts";
import { drain } from "./bench/drain.ts";
import { modbusLine } from "./bench/modbus-line.ts";
import { modbusScale, simulatorCeiling } from "./bench/modbus-scale.ts";
import { idle, mqttIngest, startToDurable } from "./bench/mqtt-ingest.ts";
import { mqttLoad } from "./bench/mqtt-load.ts";
import { opcuaScale } from "./bench/opcua-scale.ts";
import { opcuaSoak } from "./bench/opcua-soak.ts";
import { reportCache } from "./bench/report-cache.ts";

const args = process.argv.slice(2);
const messagesAt = args.indexOf("--messages");
const messages = messagesAt >= 0 ? Number(args[messagesAt + 1]) : 200_000;

const valuesAt = args.indexOf("--values");
const values = valuesAt >= 0 ? Number(args[valuesAt + 1]) : 3_600_000;

const minutesAt = args.indexOf("--minutes");
const minutes = minutesAt >= 0 ? Number(args[minutesAt + 1]) : 20;

const benches: Readonly<Record<string, () => Promise<object>>> = {
  start: async () => ({ startToFirstDurableMs: await startToDurable() }),
  idle: () => idle(20),
  "mqtt-ingest": () => mqttIngest(messages),
  "mqtt-load": () => mqttLoad(messages),
  drain: () => drain(values),
  backlog: () => backlog(valuesAt >= 0 ? values : 10_000_000),
  "report-cache": reportCache,
  "modbus-line": () => modbusLine(60, 300),
  "modbus-scale": async () => ({
    simulatorRequestsPerSecond: await simulatorCeiling(),
    typical: await modbusScale({ floats: 100, periodMs: 1000, seconds: 20 }),
    large: await modbusScale({ floats: 1000, periodMs: 1000, seconds: 20 }),
    larger: await modbusScale({ floats: 1000, periodMs: 500, seconds: 20 }),
    largest: await modbusScale({ floats: 1000, periodMs: 333, seconds: 20 }),
  }),
  "opcua-soak": () => opcuaSoak(minutes),
  "opcua-scale": async () => ({
    typical: await opcuaScale({ items: 1000, periodMs: 1000, seconds: 40 }),
    large: await opcuaScale({ items: 5000, periodMs: 1000, seconds: 30 }),
    largest: await opcuaScale({ items: 10_000, periodMs: 1250, seconds: 30 }),
  }),
};
const wanted = args.filter((arg) => Object.hasOwn(benches, arg));
for (const name of wanted.length > 0 ? wanted : Object.keys(benches)) {
  const result = await benches[name]?.();
  console.log(JSON.stringify({ bench: name, ...result }));
}
process.exit(0);
