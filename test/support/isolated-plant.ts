import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIsolated } from "../../src/connector/isolation/isolated-connector.ts";
import type { PulseLimits } from "../../src/connector/isolation/pulse.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import type { Connector } from "../../src/sdk/connector.ts";
import type { TestHost } from "./connector-host.ts";
import { writeExtension } from "./plant-file.ts";

/** A connector of an extension in a thread of its own, running; disposing stops it. */
export class IsolatedPlant implements AsyncDisposable {
  readonly connector: Connector;
  /** Settles with what `run` ended with; `undefined` when it returned. */
  readonly ended: Promise<unknown>;
  readonly #folder: string;
  readonly #stop = new AbortController();
  readonly #life: AbortController;

  private constructor(connector: Connector, folder: string, life: AbortController) {
    this.connector = connector;
    this.#folder = folder;
    this.#life = life;
    this.ended = connector.run(this.#stop.signal).catch((error: unknown) => error);
  }

  /** `body` is the text of `create(config, host)`'s block. @throws what `create` throws */
  static async start(
    { host }: TestHost,
    body: string,
    options: { readonly limits?: PulseLimits; readonly input?: unknown } = {},
  ): Promise<IsolatedPlant> {
    const folder = mkdtempSync(join(tmpdir(), "tbgw-isolated-"));
    writeExtension(folder, "plant", body);
    const life = new AbortController();
    try {
      const connector = await createIsolated(host, {
        source: { origin: { kind: "extension", type: "plant" }, input: options.input ?? {} },
        extensions: { roots: [folder], allowInsecure: false },
        dataDir: join(folder, "data"),
        level: () => "info",
        clock: systemClock,
        signal: life.signal,
        limits: options.limits,
      });
      return new IsolatedPlant(connector, folder, life);
    } catch (error) {
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("The test is over"));
    await this.ended;
    await this.connector[Symbol.asyncDispose]();
    this.#life.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true });
  }
}
