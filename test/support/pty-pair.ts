import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

/** Two serial ports that are joined by a cable: a pair of pseudo-terminals held by socat. Disposing pulls the cable. */
export class PtyPair implements AsyncDisposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "tbgw-pty-"));
  readonly ours = join(this.#dir, "gateway");
  readonly theirs = join(this.#dir, "device");
  #child: Bun.Subprocess | undefined;

  /** Makes the ports. */
  static async open(): Promise<PtyPair> {
    const pair = new PtyPair();
    await pair.plug();
    return pair;
  }

  /** Plugs the adapter in, again under the same names. */
  async plug(): Promise<void> {
    const end = (link: string): string => `pty,raw,echo=0,link=${link}`;
    this.#child = Bun.spawn(["socat", end(this.ours), end(this.theirs)], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    await until("the pseudo-terminals", () => existsSync(this.ours) && existsSync(this.theirs));
  }

  /** Pulls the adapter: both ports vanish. */
  async unplug(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    rmSync(this.ours, { force: true });
    rmSync(this.theirs, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
