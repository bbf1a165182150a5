// The plainest bridge there is, as a yardstick: mqtt.js subscribed with QoS 1, each message published on with QoS 1, nothing
// kept. `bun scripts/bench/relay.ts SOURCE_PORT SINK_PORT COUNT` prints one JSON line when COUNT messages are acknowledged.
import mqtt from "mqtt";

const [sourcePort, sinkPort, wanted] = process.argv.slice(2).map(Number);
const sink = await mqtt.connectAsync(`mqtt://127.0.0.1:${sinkPort}`, { clientId: "relay-sink" });
let acknowledged = 0;
let startMs = 0;
const source = mqtt.connect(`mqtt://127.0.0.1:${sourcePort}`, {
  clientId: "relay",
  clean: false,
  protocolVersion: 4,
});
source.on("message", (topic, payload) => {
  startMs ||= performance.now();
  sink.publish(topic, payload, { qos: 1 }, () => {
    acknowledged += 1;
    if (acknowledged === wanted) {
      const cpu = process.cpuUsage();
      console.log(
        JSON.stringify({
          seconds: (performance.now() - startMs) / 1000,
          cpuSeconds: (cpu.user + cpu.system) / 1e6,
          peakRssMb: process.resourceUsage().maxRSS / 1024,
        }),
      );
      process.exit(0);
    }
  });
});
source.on("connect", () => {
  source.subscribe("plant/+/data", { qos: 1 });
});
