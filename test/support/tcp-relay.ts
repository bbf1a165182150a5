import type { Socket } from "node:net";
import { LoopbackServer } from "./loopback-server.ts";

/** A cable between a client and a server on this machine: it can be pulled and put back. */
export class TcpRelay extends LoopbackServer {
  readonly #targetPort: number;
  #isCut = false;

  private constructor(targetPort: number) {
    super();
    this.#targetPort = targetPort;
  }

  /** Leads to `port`. */
  static async open(port: number): Promise<TcpRelay> {
    return await new TcpRelay(port).listen();
  }

  /** Every connection breaks and none is made any more, or they are made again. */
  cut(isCut: boolean): void {
    this.#isCut = isCut;
    if (isCut) {
      this.hangUp();
    }
  }

  protected override serve(near: Socket): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = this.reach(near, this.#targetPort);
    near.pipe(far);
    far.pipe(near);
  }
}
