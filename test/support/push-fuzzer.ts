import type { Json } from "../../src/sdk/model.ts";
import { connectorObject } from "./remote-rig.ts";
import type { Random } from "./seed.ts";

/** Names that pushed connectors have; few, so that they meet. */
export const FUZZ_NAMES: readonly string[] = ["Line 1", "Line 2", "Pump, east", "Ü 3", "a/b"];

/** Makes pushes, valid and not, from a stream of numbers. */
export class PushFuzzer {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The attributes of the next push; `shown` is what the gateway has published. */
  next(shown: (name: string) => Readonly<Record<string, Json>>, ts: number): Record<string, Json> {
    const kind = this.#whole(100);
    if (kind < 30) {
      return this.#connector(ts);
    }
    if (kind < 50) {
      const general = shown("general_configuration");
      return { general_configuration: this.#mutated({ ...general, ts }, this.#generalChange()) };
    }
    if (kind < 62) {
      const storage = shown("storage_configuration");
      return { storage_configuration: this.#mutated({ ...storage, ts }, this.#storageChange()) };
    }
    if (kind < 70) {
      return {
        grpc_configuration: this.#mutated({ enabled: false, ts }, { serverPort: 1 + kind }),
      };
    }
    if (kind < 78) {
      const logs = shown("logs_configuration");
      const change = { root: { level: this.#pick(["DEBUG", "INFO", "LOUD", 5]), handlers: [] } };
      return { logs_configuration: this.#mutated({ ...logs, ts }, change) };
    }
    if (kind < 86) {
      return { active_connectors: this.#names() };
    }
    return {
      [this.#pick(["general_configuration", "mode", "note", "Line 2", "x"])]: this.#json(3),
    };
  }

  #connector(ts: number): Record<string, Json> {
    const name = this.#pick(FUZZ_NAMES);
    const config: Record<string, Json> = {
      device: this.#pick(["Counter", "Second", "Third"]),
      everyMs: this.#pick([50, 100, 200, "fast", null]),
    };
    if (this.#whole(12) === 0) {
      config["fails"] = this.#pick(["create", "run", "never"]);
    }
    if (this.#whole(20) === 0) {
      config["password"] = this.#pick(["${env:HOME}", "${file:/etc/passwd}", "secret"]);
    }
    const extra: Record<string, Json> = { ts };
    const odd: Readonly<Record<string, Json>> = {
      type: this.#pick(["counter", "bacnet", "", "COUNTER"]),
      configuration: this.#pick([
        "../x.json",
        "tb_gateway.json",
        "line1.json",
        "/etc/x",
        "ok.json",
      ]),
      logLevel: this.#pick(["DEBUG", "LOUD", 7]),
      id: this.#pick(["one", "two", ""]),
      configurationJson: this.#json(3),
      name: this.#json(1),
    };
    for (const [key, value] of Object.entries(odd)) {
      if (this.#whole(15) === 0) {
        extra[key] = value;
      }
    }
    return { [name]: connectorObject(name, config, extra) };
  }

  #generalChange(): Record<string, Json> {
    const kind = this.#whole(20);
    if (kind === 0) {
      return { port: this.#pick([9, 1, 70_000, "x"]) };
    }
    if (kind === 1) {
      return { security: { type: "accessToken", accessToken: this.#pick(["wrong", "", 5]) } };
    }
    if (kind === 2) {
      return { host: this.#pick(["", "127.0.0.1, 127.0.0.1:1", 7, ["127.0.0.1"]]) };
    }
    return this.#pick([
      { latencyDebugMode: true },
      { latencyDebugMode: false },
      { reportStrategy: { type: "ON_CHANGE" } },
      { reportStrategy: { type: "DISABLED" } },
      { statistics: { enable: false, configuration: "statistics.json", commands: [] } },
      { statistics: { configuration: "../up.json", commands: "none" } },
      { checkingDeviceActivity: { checkDeviceInactivity: true, inactivityTimeoutSeconds: 100 } },
      { deviceFiltering: { enable: true, filterFile: "list.json" } },
      { tbgw: { allowReboot: true } },
      { qos: this.#pick([0, 1, 2]) },
    ]);
  }

  #storageChange(): Record<string, Json> {
    return this.#pick<Record<string, Json>>([
      { type: this.#pick(["memory", "sqlite", "file", "disk", 3]) },
      { ttlDays: this.#pick([1, 7, -1, "long"]) },
      { maxBytes: this.#pick([1_000_000, 50_000_000, 1, null]) },
      { max_records_count: this.#pick([100_000, 200_000, 0]) },
    ]);
  }

  /** Mostly the change; now and then rubbish in some place. */
  #mutated(value: Record<string, Json>, change: Readonly<Record<string, Json>>): Json {
    const mutated: Record<string, Json> = { ...value, ...change };
    if (this.#whole(4) === 0) {
      const keys = Object.keys(mutated);
      // The way back must stay: this test is about what a push does, not about a platform that switches itself off.
      const key = this.#pick(keys.filter((name) => !["remoteConfiguration", "ts"].includes(name)));
      mutated[key] = this.#json(2);
    }
    return this.#whole(50) === 0 ? this.#json(2) : mutated;
  }

  #names(): Json {
    if (this.#whole(10) === 0) {
      return this.#json(2);
    }
    return ["Line 1", ...FUZZ_NAMES.slice(1).filter(() => this.#whole(2) === 0)];
  }

  #json(depth: number): Json {
    const kind = this.#whole(depth > 0 ? 9 : 6);
    if (kind < 6) {
      return this.#pick<Json>([null, true, -1, 1e300, "", "${env:PATH}"]);
    }
    const size = this.#whole(4);
    const inner = Array.from({ length: size }, () => this.#json(depth - 1));
    return kind < 7
      ? inner
      : Object.fromEntries(
          inner.map((value) => [
            this.#pick(["name", "type", "id", "host", "__proto__", "k"]),
            value,
          ]),
        );
  }

  #whole(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(values: readonly T[]): T {
    const picked = values[this.#whole(values.length)];
    if (picked === undefined) {
      throw new Error("There is nothing to pick");
    }
    return picked;
  }
}
