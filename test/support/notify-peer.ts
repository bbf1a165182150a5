import { join } from "node:path";
import { until } from "./until.ts";

/** An independent receiver of sd_notify datagrams, as systemd is one. */
export class NotifyPeer implements Disposable {
  readonly place: string;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #messages: string[] = [];

  private constructor(place: string) {
    this.place = place;
    this.#child = Bun.spawn(["python3", join(import.meta.dir, "notify-peer.py"), place], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
  }

  /** Listens at `/path`, or at `@name` for a socket without a file. */
  static async listen(place: string): Promise<NotifyPeer> {
    const peer = new NotifyPeer(place);
    let text = "";
    const lines = new WritableStream<Uint8Array>({
      write: (chunk) => {
        text += new TextDecoder().decode(chunk);
        const all = text.split("\n");
        text = all.pop() ?? "";
        peer.#messages.push(...all.map((line) => (line === "ready" ? line : JSON.parse(line))));
      },
    });
    peer.#child.stdout.pipeTo(lines).catch(() => undefined);
    await until("the peer listens", () => peer.#messages.includes("ready"));
    return peer;
  }

  /** What has come, in order. */
  get messages(): readonly string[] {
    return this.#messages.filter((message) => message !== "ready");
  }

  /** How many datagrams have a line that begins so. */
  count(start: string): number {
    return this.messages.filter((text) => text.split("\n").some((line) => line.startsWith(start)))
      .length;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
