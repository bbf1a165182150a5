import type { Socket } from "node:net";
import { LoopbackServer } from "./loopback-server.ts";

/** A server that says the same to everyone, listens to nobody and never hangs up. */
export class Greeter extends LoopbackServer {
  readonly #greeting: string;

  private constructor(greeting: string) {
    super();
    this.#greeting = greeting;
  }

  static async open(greeting: string): Promise<Greeter> {
    return await new Greeter(greeting).listen();
  }

  protected override serve(socket: Socket): void {
    socket.resume();
    if (this.#greeting !== "") {
      socket.write(this.#greeting);
    }
  }
}
