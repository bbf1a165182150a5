import type { Socket } from "node:net";
import { LoopbackServer } from "./loopback-server.ts";

/** A cable with an ear: passes connections on to another port of this machine and keeps what the clients say. */
export class RecordingRelay extends LoopbackServer {
  /** Cuts the connection instead of passing on an answer with this text, once. */
  cutAt: string | undefined;
  readonly #targetPort: number;
  readonly #heard: Buffer[] = [];

  private constructor(targetPort: number) {
    super();
    this.#targetPort = targetPort;
  }

  /** Leads to `port`. */
  static async open(port: number): Promise<RecordingRelay> {
    return await new RecordingRelay(port).listen();
  }

  /** All bytes the clients have sent, in the order they came. */
  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  protected override serve(near: Socket): void {
    const far = this.reach(near, this.#targetPort);
    near.on("data", (bytes: Buffer) => {
      this.#heard.push(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      if (this.cutAt !== undefined && bytes.includes(this.cutAt)) {
        this.cutAt = undefined;
        near.destroy();
      } else {
        near.write(bytes);
      }
    });
  }
}
