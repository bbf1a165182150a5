import { createServer } from "node:net";
import { join } from "node:path";
import mqtt from "mqtt";
import { generate, parser } from "mqtt-packet";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { BINARY, GatewayProcess } from "../../test/support/gateway-process.ts";
import { Mosquitto } from "../../test/support/mosquitto.ts";
import { freePort } from "../../test/support/ports.ts";
import { until } from "../../test/support/until.ts";
import { type ProcessStats, processStats } from "./process-stats.ts";

const DEVICES = 200;
/** Keys `seq` and `value` of each message. */
const VALUES_PER_MESSAGE = 2;
const FOREVER = new AbortController().signal;

/** Has the broker keep what it gets for a client that is away: a persistent session with the gateway's subscription. */
async function reserve(port: number, clientId: string): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId,
    clean: false,
    protocolVersion: 4,
  });
  await client.subscribeAsync("plant/+/data", { qos: 1 });
  await client.endAsync();
}

async function fill(port: number, messages: number): Promise<void> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "load" });
  for (let sent = 0; sent < messages; ) {
    const group: Promise<unknown>[] = [];
    for (let index = 0; index < 1000 && sent < messages; index += 1) {
      const device = `dev-${String(sent % DEVICES).padStart(3, "0")}`;
      const seq = Math.floor(sent / DEVICES);
      group.push(
        client.publishAsync(`plant/${device}/data`, `{"seq":${seq},"value":${seq % 500}.25}`, {
          qos: 1,
        }),
      );
      sent += 1;
    }
    await Promise.all(group);
  }
  await client.endAsync();
}

/**
 * Messages a second from a broker's queue to the platform's PUBACK, with the durable store between, against a bare relay on
 * the same messages. The messages wait in the broker, so that no load generator shares the two cores.
 */
export async function mqttIngest(messages: number): Promise<object> {
  await using broker = await Mosquitto.start();
  await using relaySink = await Mosquitto.start();
  await using platform = await ThingsBoardDouble.listen({ clock: systemClock, store: "count" });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  await reserve(broker.port, "relay");
  await reserve(broker.port, "tbgw-e2e");
  await fill(broker.port, messages);

  const relay = await runRelay(broker.port, relaySink.port, messages);

  await using gateway = await GatewayProcess.create({
    platformPort: platform.port,
    brokerPort: broker.port,
  });
  gateway.start();
  const wanted = messages * VALUES_PER_MESSAGE;
  await until("the first value", () => platform.counters().values > 0, 30_000);
  const startMs = performance.now();
  await until("every value", () => platform.counters().values >= wanted, 600_000);
  const seconds = (performance.now() - startMs) / 1000;
  // The last commit of releases follows within 250 ms.
  await systemClock.sleep(1000, FOREVER);
  const stats = processStats(gateway.pid);
  const counters = platform.counters();
  await gateway.stop();
  const perSecond = messages / seconds;
  const relayPerSecond = messages / relay.seconds;
  return {
    messages,
    values: counters.values,
    missing: Math.max(0, wanted - counters.values),
    messagesPerSecond: Math.round(perSecond),
    relayMessagesPerSecond: Math.round(relayPerSecond),
    ratioToRelay: Number((perSecond / relayPerSecond).toFixed(2)),
    cpuSeconds: stats.cpuSeconds,
    cpuMicrosPerMessage: Number(((stats.cpuSeconds / messages) * 1e6).toFixed(1)),
    relayCpuSeconds: relay.cpuSeconds,
    peakRssMb: Math.round(stats.peakRssMb),
    relayPeakRssMb: Math.round(relay.peakRssMb),
    wireBytesPerValue: Number((counters.bytesIn / counters.values).toFixed(1)),
    diskBytesPerValue: Number((stats.diskBytes / counters.values).toFixed(1)),
    publishes: counters.publishes,
  };
}

interface RelayResult {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMb: number;
}

async function runRelay(source: number, sink: number, messages: number): Promise<RelayResult> {
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "relay.ts"),
      String(source),
      String(sink),
      String(messages),
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  const text = await new Response(child.stdout).text();
  await child.exited;
  return JSON.parse(text) as RelayResult;
}

/**
 * Milliseconds from exec to the PUBACK of the first message: the record is on the disk by then. The broker is a bare socket
 * that sends one message as soon as it is subscribed to.
 */
export async function startToDurable(): Promise<number> {
  const acknowledged = Promise.withResolvers<number>();
  const server = createServer((socket) => {
    const packets = parser({ protocolVersion: 4 });
    socket.on("data", (data: Buffer) => packets.parse(data));
    socket.on("error", () => socket.destroy());
    packets.on("packet", (packet) => {
      if (packet.cmd === "connect") {
        socket.write(generate({ cmd: "connack", returnCode: 0, sessionPresent: false }));
      } else if (packet.cmd === "subscribe") {
        const granted = packet.subscriptions.map(() => 1 as const);
        socket.write(generate({ cmd: "suback", messageId: packet.messageId ?? 1, granted }));
        socket.write(
          generate({
            cmd: "publish",
            topic: "plant/dev-000/data",
            payload: '{"seq":1,"value":0.25}',
            qos: 1,
            messageId: 1,
            dup: false,
            retain: false,
          }),
        );
      } else if (packet.cmd === "puback") {
        acknowledged.resolve(performance.now());
      }
    });
  });
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const address = server.address();
  const brokerPort = typeof address === "object" && address !== null ? address.port : 0;
  // Nobody listens on the platform's port: a start without network.
  await using gateway = await GatewayProcess.create({ platformPort: 9, brokerPort });
  const startMs = performance.now();
  gateway.start();
  const endMs = await acknowledged.promise;
  await gateway.stop();
  server.close();
  return Math.round(endMs - startMs);
}

/** What users have who configure neither: the web server, and the statistics of the gateway. */
const DEFAULTS = { thingsboard: { statistics: { enable: true } }, web: true };

/** Memory and processor of a connected gateway that has nothing to do, with little switched on and with the defaults. */
export async function idle(seconds: number): Promise<object> {
  forgetPages(BINARY);
  const least = await idleOf(seconds, { web: false });
  const defaults = await idleOf(seconds, DEFAULTS);
  return {
    idleRssMb: Number(least.after.rssMb.toFixed(1)),
    idlePrivateMb: Number(least.after.privateMb.toFixed(1)),
    idleCpuPercent: least.cpuPercent,
    idleDefaultsRssMb: Number(defaults.after.rssMb.toFixed(1)),
    idleDefaultsPrivateMb: Number(defaults.after.privateMb.toFixed(1)),
    idleDefaultsCpuPercent: defaults.cpuPercent,
  };
}

interface IdleOptions {
  readonly web: boolean;
  readonly thingsboard?: object;
}

/** How long a start takes at most, with what is collected after it. */
const SETTLE_MS = 8000;

async function idleOf(
  seconds: number,
  { web, thingsboard }: IdleOptions,
): Promise<{ readonly after: ProcessStats; readonly cpuPercent: number }> {
  await using broker = await Mosquitto.start();
  await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
  platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
  await using gateway = await GatewayProcess.create({
    platformPort: platform.port,
    brokerPort: broker.port,
    tbgw: { web: web ? { host: "127.0.0.1", port: await freePort() } : { enabled: false } },
    ...(thingsboard === undefined ? undefined : { thingsboard }),
  });
  gateway.start();
  await until("the platform is reached", () => platform.sessions().length > 0);
  await systemClock.sleep(SETTLE_MS, FOREVER);
  const before = processStats(gateway.pid);
  await systemClock.sleep(seconds * 1000, FOREVER);
  const after = processStats(gateway.pid);
  await gateway.stop();
  const cpuPercent = ((after.cpuSeconds - before.cpuSeconds) / seconds) * 100;
  return { after, cpuPercent: Number(cpuPercent.toFixed(2)) };
}

/**
 * A file that has just been written lies in the page cache in large pieces, and is mapped in large pieces: some 5 MB more of
 * the program count as resident than after the next start of the machine. What is on the disk is read again.
 */
function forgetPages(path: string): void {
  Bun.spawnSync(["sync", path]);
  Bun.spawnSync(["dd", `if=${path}`, "iflag=nocache", "count=0", "status=none"]);
}
