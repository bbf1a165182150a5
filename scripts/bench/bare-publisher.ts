// The yardstick of the drain: mqtt.js publishing as many bytes in as many messages, and nothing else. Arguments: port, messages,
// bytes of each, publishes in flight. Writes the seconds it took as JSON.
import mqtt from "mqtt";

const [port = 1883, messages = 1, size = 1, inFlight = 1] = process.argv.slice(2).map(Number);
const payload = `{"A":["${"x".repeat(Math.max(0, size - 9))}"]}`;
const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
const startMs = performance.now();
const done = Promise.withResolvers<void>();
let sent = 0;
let acknowledged = 0;

function send(): void {
  if (sent === messages) {
    return;
  }
  sent += 1;
  client.publish("v1/gateway/telemetry", payload, { qos: 1 }, (error) => {
    if (error !== undefined && error !== null) {
      done.reject(error);
    }
    acknowledged += 1;
    if (acknowledged === messages) {
      done.resolve();
    }
    send();
  });
}

for (let index = 0; index < inFlight; index += 1) {
  send();
}
await done.promise;
console.log(JSON.stringify({ seconds: (performance.now() - startMs) / 1000 }));
process.exit(0);
