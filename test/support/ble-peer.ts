import { join } from "node:path";
import { pythonWithPeers } from "./python.ts";
import { until } from "./until.ts";

/** Whether the adapter is `hci0` of the kernel, by /dev/vhci, and not a port: `bluetooth-kernel.sh` runs tests so. */
export const HAS_KERNEL = process.env["TBGW_BLE_KERNEL"] === "1";

/** Names of three peripherals; there is one more, `doorAddress(3)`. */
export const DOORS = ["Door1", "Door2", "Door3"] as const;

/** The address of one of them. */
export function doorAddress(index: number): string {
  return `F0:F1:F2:F3:F4:0${index + 1}`;
}

/** Bluetooth peripherals and an adapter in another process, by another implementation. Disposing kills it. */
export class BlePeer implements AsyncDisposable {
  /** What was written to a peripheral, by the name of it. */
  readonly writes: { readonly name: string; readonly hex: string }[] = [];
  /** How long a peripheral was away each time, of those that were told to drop their links. */
  readonly returns: { readonly name: string; readonly awayMs: number }[] = [];
  /** Reads that came while they are not answered. */
  readonly hanging: { readonly name: string }[] = [];
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  #output = "";
  #lines = 0;

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#child = child;
    this.#collect().catch(() => undefined);
  }

  static async start(): Promise<BlePeer> {
    const place = HAS_KERNEL ? "vhci" : "0";
    const child = Bun.spawn(
      [await pythonWithPeers(), join(import.meta.dir, "ble-peer.py"), place],
      { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
    );
    const peer = new BlePeer(child);
    await until("the peer is ready", () => peer.#output.includes("ready"), 30_000);
    return peer;
  }

  get port(): number {
    return Number(/ready (\d+)/.exec(this.#output)?.[1]);
  }

  /** The adapter, as a connector file names it. */
  get adapter(): string {
    return HAS_KERNEL ? "hci0" : `tcp:127.0.0.1:${this.port}`;
  }

  /** `drop Door1`, `drops Door1 20 7`, `away Door1`, `back Door1`, `hang Door1`, `wake Door1`, `value Door1 0a0b`, `kick`, `reset`. */
  async say(command: string): Promise<void> {
    await this.#child.stdin.write(`${command}\n`);
    await this.#child.stdin.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async #collect(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      this.#output += decoder.decode(chunk, { stream: true });
      const lines = this.#output.split("\n");
      for (const line of lines.slice(this.#lines, -1)) {
        if (line.startsWith("{")) {
          const event = JSON.parse(line);
          const events =
            "hex" in event ? this.writes : "awayMs" in event ? this.returns : this.hanging;
          events.push(event);
        }
      }
      this.#lines = lines.length - 1;
    }
  }
}
