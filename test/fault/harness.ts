// The compiled gateway between a real broker with a numbered source and the ThingsBoard stand-in, with an account at the end.
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { type Ledger, ledgerImbalance } from "../../src/sdk/ledger.ts";
import { Arrivals } from "../support/arrivals.ts";
import { GatewayProcess, type Launch } from "../support/gateway-process.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { Mosquitto } from "../support/mosquitto.ts";
import { NumberedSource } from "../support/numbered-source.ts";
import { readQuarantine } from "../support/quarantine.ts";
import { chooseSeed, type Random, randomFrom } from "../support/seed.ts";
import { until } from "../support/until.ts";

/** Whether the long modes run. */
export const isFull = process.env["TBGW_FAULT"] === "full";

/** The first number in a normal run, the second with `TBGW_FAULT=full`. */
export function shortOrFull(short: number, full: number): number {
  return isFull ? full : short;
}

/** After so long without a new value what is missing may have been set aside. */
const CALM_MS = 3000;

/** Each message is one value: the number. */
export const NUMBER_MAPPING = {
  topicFilter: "plant/+/data",
  subscriptionQos: 1,
  converter: {
    type: "json",
    deviceInfo: {
      deviceNameExpressionSource: "topic",
      deviceNameExpression: "plant/([^/]+)/data",
      deviceProfileExpressionSource: "constant",
      deviceProfileExpression: "sensor",
    },
    timeseries: [{ type: "long", key: "seq", value: "${seq}" }],
  },
};

/** How a line is set up. */
export interface LineOptions {
  /** What the case is called in its report. */
  readonly name: string;
  readonly valuesPerSecond: number;
  readonly devices?: number;
  readonly storage?: object;
  readonly thingsboard?: object;
  /** How the program is started; it is told the directory of its configuration. */
  readonly launch?: (dir: string) => Launch;
}

/** What came of a case. */
export interface Account {
  readonly missing: number;
  readonly disorder: number;
  readonly imbalance: { readonly intake: number; readonly delivery: number };
  readonly exitCode: number;
}

/** What the account of a case must be where nothing was set aside or dropped. */
export const COMPLETE: Account = {
  missing: 0,
  disorder: 0,
  imbalance: { intake: 0, delivery: 0 },
  exitCode: 0,
};

/** The line that is being built. */
let opening: Promise<unknown> = Promise.resolve();

/** A source, a broker, the gateway and the platform. The caller starts the gateway and the source. */
export class FaultLine implements AsyncDisposable {
  readonly name: string;
  readonly seed: number;
  readonly random: Random;
  readonly platform: ThingsBoardDouble;
  readonly gateway: GatewayProcess;
  readonly source: NumberedSource;
  readonly arrivals: Arrivals;
  readonly #launch: Launch;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    options: LineOptions,
    parts: Pick<FaultLine, "platform" | "gateway" | "source" | "arrivals">,
    owned: AsyncDisposableStack,
  ) {
    this.name = options.name;
    this.seed = chooseSeed();
    this.random = randomFrom(this.seed);
    this.platform = parts.platform;
    this.gateway = parts.gateway;
    this.source = parts.source;
    this.arrivals = parts.arrivals;
    this.#launch = options.launch?.(parts.gateway.dir) ?? {};
    this.#owned = owned;
    console.log(`${this.name}: TBGW_SEED=${this.seed}`);
  }

  /** One line is built at a time: the port of a broker must not go to somebody else between finding and using it. */
  static open(options: LineOptions): Promise<FaultLine> {
    const line = opening.then(() => FaultLine.#build(options));
    opening = line.catch(() => undefined);
    return line;
  }

  static async #build(options: LineOptions): Promise<FaultLine> {
    await using stack = new AsyncDisposableStack();
    const platform = stack.use(
      await ThingsBoardDouble.listen({ clock: systemClock, store: "count" }),
    );
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    const arrivals = stack.use(new Arrivals(platform));
    const broker = stack.use(await Mosquitto.start());
    const gateway = stack.use(
      await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        mqtt: { mapping: [NUMBER_MAPPING] },
        ...(options.storage === undefined ? {} : { storage: options.storage }),
        ...(options.thingsboard === undefined ? {} : { thingsboard: options.thingsboard }),
      }),
    );
    const { devices = 10, valuesPerSecond } = options;
    const source = stack.use(
      await NumberedSource.open({ port: broker.port, devices, valuesPerSecond }),
    );
    return new FaultLine(options, { platform, gateway, source, arrivals }, stack.move());
  }

  /** Starts the program; nothing is awaited. */
  startGateway(): void {
    this.gateway.start([], this.#launch);
  }

  /** Starts the program, waits until it has subscribed to its source, then starts the source and waits for values. */
  async run(): Promise<void> {
    this.startGateway();
    await until("the gateway reached its broker", () =>
      this.gateway.output.includes("Plant broker: Link is up"),
    );
    this.source.start();
    await until("values arrive", () => this.arrivals.count > 0);
  }

  /** Lets time pass under load; the duration is part of the fault. */
  async pass(durationMs: number): Promise<void> {
    await systemClock.sleep(durationMs, new AbortController().signal);
  }

  /** Numbers the source had acknowledged that are neither on the platform nor set aside. */
  missing(): readonly string[] {
    const missing = this.arrivals.missing(this.source.acknowledged);
    if (missing.length === 0) {
      return missing;
    }
    const setAside = this.setAside();
    return missing.filter((number) => !setAside.has(number));
  }

  /** Waits until `count` numbers more than there are at this moment have arrived; how long it took, in ms. */
  async untilFlows(timeoutMs: number, count = 1): Promise<number> {
    const startMs = systemClock.monotonicMs();
    const wanted = this.arrivals.count + count;
    await until(`${this.name}: values flow`, () => this.arrivals.count >= wanted, timeoutMs);
    return systemClock.monotonicMs() - startMs;
  }

  /** Stops the source, waits until everything it got acknowledged has arrived or is set aside, stops the program, reads its ledger. */
  async finish(timeoutMs: number): Promise<Account> {
    await this.source.stop();
    const missing = (): number => this.missing().length;
    // Looking into the store costs the program time: only when nothing else comes.
    await until("all arrived but what is set aside", () => this.#arrivedOrCalm(), timeoutMs);
    // A number that never comes is told by the account, together with everything else.
    await until(`${this.name}: all arrived`, () => missing() === 0, timeoutMs).catch(
      (error: unknown) => this.note("not complete", { error: String(error) }),
    );
    const exitCode = await this.gateway.stop();
    const { missing: left, disorder } = { missing: missing(), disorder: this.arrivals.disorder };
    const ledger = this.ledger();
    this.note("account", {
      sent: this.source.sent,
      arrived: this.arrivals.count,
      missing: left,
      disorder,
      setAside: this.setAside().size,
      repeats: this.arrivals.repeats.length,
      redeliveries: this.arrivals.redeliveries,
      ledger,
    });
    return { missing: left, disorder, imbalance: ledgerImbalance(ledger), exitCode };
  }

  /** What the gateway has set aside: by number, `device/seq`, the reason. */
  setAside(): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const { reason, record } of readQuarantine(join(this.gateway.dir, "data"))) {
      const device = /"(dev-\d+)"/.exec(record)?.[1] ?? "";
      const seq = /"seq":(\d+)/.exec(record)?.[1] ?? "";
      found.set(`${device}/${seq}`, reason);
    }
    return found;
  }

  /** The ledger in the last log line that has one. */
  ledger(): Ledger {
    return ledgerOf(this.gateway.output);
  }

  /** Whether everything has arrived, or nothing more has for a while. */
  #arrivedOrCalm(): boolean {
    return (
      this.arrivals.missing(this.source.acknowledged).length === 0 ||
      systemClock.monotonicMs() - this.arrivals.lastAtMs > CALM_MS
    );
  }

  /** Reports a figure of the case. */
  note(what: string, facts: object): void {
    console.log(`${this.name}: ${what} ${JSON.stringify(facts)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
