// The sender against an independent MQTT 5 broker: what ThingsBoard's stand-in and our client might get wrong together.
import { expect, test } from "bun:test";
import { connectAsync } from "mqtt";
import { BatchWriter } from "../../src/sdk/batch.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { Sender } from "../../src/thingsboard/sender.ts";
import { Session } from "../../src/thingsboard/session.ts";
import { memoryLog } from "../support/memory-log.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { until } from "../support/until.ts";
import { plainSettings, roomyStore, telemetry } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const DEVICES = 10;
const ROUNDS = 300;

/** What a subscriber saw: per device, each number once, in the order of its first arrival. */
type Arrivals = Map<string, number[]>;

/** Subscribes to the telemetry; the session outlives the broker's end because the broker keeps it on disk. */
async function listen(port: number, arrivals: Arrivals): Promise<AsyncDisposable> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: "listener",
    clean: false,
    reconnectPeriod: 50,
  });
  client.on("error", () => client.reconnecting);
  client.on("message", (_topic, payload) => {
    for (const [device, entries] of Object.entries<{ values: { n: number } }[]>(
      JSON.parse(payload.toString()),
    )) {
      const numbers = arrivals.get(device) ?? [];
      arrivals.set(device, numbers);
      for (const { values } of entries) {
        if (!numbers.includes(values.n)) {
          numbers.push(values.n);
        }
      }
    }
  });
  await client.subscribeAsync("v1/gateway/telemetry", { qos: 1 });
  return { [Symbol.asyncDispose]: () => client.endAsync(true) };
}

test("mosquitto: everything arrives, in order per device, over two ends of the broker", async () => {
  await using broker = await Mosquitto.start(["persistence true", "persistence_location {dir}/"]);
  const arrivals: Arrivals = new Map();
  await using _listener = await listen(broker.port, arrivals);
  const log = memoryLog();
  await using store = roomyStore(systemClock, log);
  const session = new Session(plainSettings(broker.port), {
    clock: systemClock,
    log: log.log,
    limitsWaitMs: 50,
  });
  const sender = new Sender({ store, session, clock: systemClock, log: log.log });
  const stop = new AbortController();
  const running = Promise.allSettled([session.run(stop.signal), sender.run(stop.signal)]);
  for (let n = 0; n < ROUNDS; n += 1) {
    const writer = new BatchWriter();
    for (let device = 0; device < DEVICES; device += 1) {
      writer.add(telemetry(`D${device}`, TS + n, n));
    }
    await store.append(writer.take(), DEVICES, { urgent: true, values: DEVICES }, stop.signal);
    if (n === 100 || n === 200) {
      await until("it is connected", () => session.state.link === "connected");
      await broker.kill("SIGTERM");
      await until("it is down", () => session.state.link !== "connected");
      await broker.restart();
    }
  }
  await until("the store is empty", () => store.stats().records === 0, 30_000);
  const expected = Array.from({ length: ROUNDS }, (_none, n) => n);
  await until("all has arrived", () =>
    [...arrivals.values()].every((numbers) => numbers.length === ROUNDS),
  );
  expect([...arrivals.values()]).toEqual(Array.from({ length: DEVICES }, () => expected));
  expect(store.stats().ledger).toMatchObject({ acknowledged: ROUNDS * DEVICES, quarantined: 0 });
  expect([session.state.protocol, session.state.connects]).toEqual(["5", 3]);
  expect(await sender.drain(1000)).toBe(true);
  stop.abort(new Error("the test is over"));
  await running;
}, 60_000);
