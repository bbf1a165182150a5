import { createServer, type Server } from "node:net";
import type { Aedes } from "aedes";
import { loadLibrary } from "./library.ts";

/** The broker of the demo's devices, on loopback. */
export class DemoBroker implements AsyncDisposable {
  readonly #aedes: Aedes;
  readonly #server: Server;
  readonly port: number;

  private constructor(aedes: Aedes, server: Server, port: number) {
    this.#aedes = aedes;
    this.#server = server;
    this.port = port;
  }

  /** Listens on a port of 127.0.0.1, a free one by default. */
  static async listen(wanted = 0): Promise<DemoBroker> {
    const { Aedes } = await loadLibrary();
    const aedes = await Aedes.createBroker();
    const server = createServer((socket) => {
      aedes.handle(socket);
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    server.once("error", reject);
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
    return new DemoBroker(aedes, server, await promise);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    this.#aedes.close();
    await closed.promise;
  }
}
