import type { Socket } from "node:net";
import { LoopbackServer } from "./loopback-server.ts";

/** What a proxy of a test does otherwise. */
export interface ProxyOptions {
  /** Answers every request with this status line, such as `403 Forbidden`, and opens nothing. */
  readonly refuse?: string;
  /** Host names that only the proxy knows, and the ports of this machine they lead to. */
  readonly names?: Readonly<Record<string, number>>;
  /** Says this instead of anything of HTTP. */
  readonly garbage?: string;
  /** Takes the request and never answers. */
  readonly silent?: boolean;
}

/** A small HTTP proxy for CONNECT (RFC 9110 §9.3.6) on a free port of 127.0.0.1; it reaches this machine alone. */
export class ConnectProxy extends LoopbackServer {
  /** `host:port` of each request, in order. */
  readonly targets: string[] = [];
  readonly #options: ProxyOptions;

  private constructor(options: ProxyOptions) {
    super();
    this.#options = options;
  }

  static async open(options: ProxyOptions = {}): Promise<ConnectProxy> {
    return await new ConnectProxy(options).listen();
  }

  protected override serve(near: Socket): void {
    let head = "";
    const onData = (bytes: Buffer): void => {
      head += bytes.toString("latin1");
      if (head.includes("\r\n\r\n")) {
        near.off("data", onData);
        this.#answer(near, head);
      }
    };
    near.on("data", onData);
  }

  #answer(near: Socket, head: string): void {
    const { garbage, refuse, silent, names = {} } = this.#options;
    const [, host = "", port = ""] = /^CONNECT (\S+):(\d+) HTTP\/1\.1\r\n/.exec(head) ?? [];
    this.targets.push(`${host}:${port}`);
    if (silent === true) {
      return;
    }
    if (garbage !== undefined || refuse !== undefined || host === "") {
      near.end(garbage ?? `HTTP/1.1 ${refuse ?? "400 Bad Request"}\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const far = this.reach(near, names[host] ?? Number(port));
    far.once("connect", () => {
      near.write("HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n");
      near.pipe(far);
      far.pipe(near);
    });
  }
}
