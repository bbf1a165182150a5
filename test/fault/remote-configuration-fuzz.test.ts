// Pushes of all kinds, most of them wrong: the gateway stays reachable, the files stay valid, the data stays complete.
import { describe, expect, test } from "bun:test";
import { loadConfiguration } from "../../src/config/load.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { isJsonObject, type Json } from "../../src/sdk/model.ts";
import { fastClock } from "../support/fast-clock.ts";
import { PushFuzzer } from "../support/push-fuzzer.ts";
import { connectorObject, json, RemoteRig, RIG_TYPES, recordOf } from "../support/remote-rig.ts";
import { chooseSeed, randomFrom } from "../support/seed.ts";
import { until } from "../support/until.ts";

/** `TBGW_PUSHES=10000` is the whole run. */
const PUSHES = Number(process.env["TBGW_PUSHES"] ?? 200);
/** How long a connection on trial may take: the rollback time of this run. */
const TRIAL_MS = 2000;
/** Answering a call may take this much longer on a loaded machine. */
const SLACK_MS = 3000;
const BATCH = 5;
const never = new AbortController().signal;

/** Calls the gateway again and again, and notes the longest time without an answer. */
class Prober {
  longestMs = 0;
  answers = 0;
  readonly #rig: RemoteRig;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(rig: RemoteRig) {
    this.#rig = rig;
    this.#done = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    let lastMs = systemClock.monotonicMs();
    while (!this.#stop.signal.aborted) {
      const isAnswered = await this.#rig.server.rpc("GW", "gateway_ping", null).then(
        (text) => text.includes("pong"),
        () => false,
      );
      const nowMs = systemClock.monotonicMs();
      this.longestMs = Math.max(this.longestMs, nowMs - lastMs);
      if (isAnswered) {
        this.answers += 1;
        lastMs = nowMs;
      }
      // What a reader finds at any moment is a whole file.
      recordOf(this.#rig.file("tb_gateway.json"));
      await systemClock.sleep(20, never);
    }
  }
}

async function isValid(rig: RemoteRig): Promise<boolean> {
  const loaded = await loadConfiguration({
    configDir: rig.config.path,
    dataDir: rig.data.path,
    env: {},
    cwd: rig.config.path,
    connectorTypes: RIG_TYPES,
  });
  const errors = loaded.issues.filter(({ severity }) => severity === "error");
  return !loaded.fatal && errors.length === 0;
}

/** What the gateway has published, for the next push. */
function shownBy(rig: RemoteRig): (name: string) => Readonly<Record<string, Json>> {
  return (name) => {
    const shown = json(rig.client(name) ?? {});
    return isJsonObject(shown) ? shown : {};
  };
}

describe("remote configuration", () => {
  test(`${PUSHES} pushes of all kinds leave the gateway reachable and its files valid`, async () => {
    const seed = chooseSeed();
    const startMs = systemClock.monotonicMs();
    const fuzzer = new PushFuzzer(randomFrom(seed));
    await using rig = await RemoteRig.open({ trialMs: TRIAL_MS, clock: fastClock(20) });
    await rig.published();
    await using prober = new Prober(rig);
    let ts = 1e13;
    for (let count = 0; count < PUSHES; count += BATCH) {
      for (let index = 0; index < BATCH; index += 1) {
        ts += 1;
        rig.push(fuzzer.next(shownBy(rig), ts));
      }
      // Handled after everything before it, so that no push only takes the place of another.
      ts += 1;
      const end = connectorObject("Line 1", { device: "Counter", everyMs: 50 }, { ts });
      rig.push({ "Line 1": end });
      await rig.acknowledged("Line 1", ts).catch((error: unknown) => {
        const last = rig.log.slice(-12).map(({ message, fields }) => [message, fields]);
        const shown = [rig.client("configuration_errors"), rig.client("Line 1")];
        const told = JSON.stringify([...last, ...shown]);
        throw new Error(`seed ${seed}, ${count} pushes: ${told}`, { cause: error });
      });
      expect({ seed, count, valid: await isValid(rig) }).toMatchObject({ valid: true });
    }
    await prober[Symbol.asyncDispose]();
    const { ledger } = (await rig.gateway.status()).store;
    const tookS = Math.round((systemClock.monotonicMs() - startMs) / 1000);
    process.stdout.write(
      `seed ${seed}: ${PUSHES} pushes in ${tookS} s, ${prober.answers} calls answered, longest silence ${Math.round(prober.longestMs)} ms, rollback ${TRIAL_MS} ms\n`,
    );
    expect(prober.answers).toBeGreaterThan(PUSHES / 50);
    expect({ seed, ms: prober.longestMs < TRIAL_MS + SLACK_MS }).toEqual({ seed, ms: true });
    expect(rig.file("tb_gateway.json")).toMatchObject({
      tbgw: { allowReboot: false },
      ownKey: { kept: true },
    });
    expect({ seed, dropped: ledger.dropped }).toEqual({ seed, dropped: {} });
    await rig.flows();
    await until(
      "what waits is sent",
      async () => (await rig.gateway.status()).store.ledger.queued < 50,
    );
  }, 3_600_000);
});
