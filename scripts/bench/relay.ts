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
// A packet id is free again after its PUBACK only: without a bound the ids would wrap.
const MAX_OUTSTANDING = 1000;
let outstanding = 0;
let waiting: (() => void) | undefined;
source.handleMessage = (packet, done) => {
  startMs ||= performance.now();
  outstanding += 1;
  sink.publish(packet.topic, packet.payload, { qos: 1 }, () => {
    outstanding -= 1;
    acknowledged += 1;
    waiting?.();
    waiting = undefined;
    if (acknowledged === wanted) {
      report();
    }
  });
  if (outstanding < MAX_OUTSTANDING) {
    done();
  } else {
    waiting = done;
  }
};
source.on("connect", () => {
  source.subscribe("plant/+/data", { qos: 1 });
});

function report(): void {
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
