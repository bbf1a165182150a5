// Measurements on real peers: `bun run bench [mqtt-ingest|start|idle] [--messages N]`. Needs mosquitto and `bun run build`.
// Machines are noisy: compare within one run, by the ratios.
import { idle, mqttIngest, startToDurable } from "./bench/mqtt-ingest.ts";

const args = process.argv.slice(2);
const messagesAt = args.indexOf("--messages");
const messages = messagesAt >= 0 ? Number(args[messagesAt + 1]) : 200_000;

const benches: Readonly<Record<string, () => Promise<object>>> = {
  start: startToDurable,
  idle: () => idle(20),
  "mqtt-ingest": () => mqttIngest(messages),
};
const wanted = args.filter((arg) => Object.hasOwn(benches, arg));
for (const name of wanted.length > 0 ? wanted : Object.keys(benches)) {
  const result = await benches[name]?.();
  console.log(JSON.stringify({ bench: name, ...result }));
}
process.exit(0);
