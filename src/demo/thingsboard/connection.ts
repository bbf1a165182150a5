import type { Socket } from "node:net";
import {
  encodeDisconnect,
  type Frame,
  Framer,
  PACKET_TYPE,
  type ProtocolLevel,
  packetName,
  REASON,
} from "./packets.ts";
import type { Platform } from "./platform.ts";

/** What a connection tells its owner. */
export interface ConnectionHandler {
  /** A whole packet arrived. Its bytes are only valid during the call. */
  onPacket(frame: Frame): void;
  /** The connection is over; called once. */
  onEnd(): void;
}

/** The socket of one client: cuts packets, collects what is sent meanwhile, closes politely or not. */
export class Connection {
  /** Counts connections from 1. */
  readonly number: number;
  readonly socket: Socket;
  /** Protocol level of the last CONNECT, undefined before it. */
  level: ProtocolLevel | undefined;
  readonly #platform: Platform;
  readonly #framer = new Framer();
  #handler: ConnectionHandler | undefined;
  #out: Buffer[] = [];
  #isHandling = false;
  #isClosed = false;
  #flushTimer: Disposable | undefined;

  constructor(socket: Socket, platform: Platform, number: number) {
    this.socket = socket;
    this.#platform = platform;
    this.number = number;
  }

  /** True as soon as the server or the client ended it. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Starts reading. */
  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.socket.on("error", () => this.reset());
    this.socket.on("end", () => this.reset());
    this.socket.on("close", () => this.reset());
  }

  /** Sends a packet; while received packets are handled it waits for the last of them. */
  send(bytes: Buffer): void {
    if (this.#isClosed) {
      return;
    }
    this.#platform.counters.packetsOut += 1;
    this.#platform.counters.bytesOut += bytes.length;
    this.#record("out", bytes);
    this.#out.push(bytes);
    if (!this.#isHandling) {
      this.flush();
    }
  }

  /** Hands everything collected to the socket. */
  flush(): void {
    const out = this.#out;
    if (out.length === 0) {
      return;
    }
    this.#out = [];
    const [only] = out;
    this.socket.write(out.length === 1 && only !== undefined ? only : Buffer.concat(out));
  }

  /** Ends the connection after what was sent. In MQTT 5 a DISCONNECT with `code` goes first, when there is one. */
  close(code?: number): void {
    if (this.#isClosed) {
      return;
    }
    if (code !== undefined && this.level === 5) {
      this.send(encodeDisconnect(code));
    }
    this.flush();
    this.#isClosed = true;
    this.socket.end();
    // What the client still sends is read and thrown away: closing with unread bytes would reset the connection and
    // might take the DISCONNECT from the client.
    const timer = this.#platform.clock.timer(this.#platform.timings.closeFlushMs, () =>
      this.socket.destroy(),
    );
    this.#flushTimer = timer;
    this.#end();
  }

  /** Cuts the connection; what was not flushed is lost. */
  reset(): void {
    this.#flushTimer?.[Symbol.dispose]();
    this.socket.destroy();
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#end();
    }
  }

  #end(): void {
    this.#out = [];
    this.#handler?.onEnd();
    this.#platform.changed();
  }

  #onData(chunk: Buffer): void {
    if (this.#isClosed) {
      return;
    }
    const { faults } = this.#platform;
    if (faults.reading.isClosed) {
      this.socket.pause();
      faults.reading.whenOpen(() => {
        this.#onData(chunk);
        this.socket.resume();
      });
      return;
    }
    this.#platform.counters.bytesIn += chunk.length;
    const allowed = faults.takeBytes(chunk.length);
    this.#framer.append(allowed === undefined ? chunk : chunk.subarray(0, allowed));
    this.#isHandling = true;
    this.#handlePackets();
    this.#isHandling = false;
    this.flush();
    if (allowed !== undefined) {
      this.reset();
    }
    this.#platform.changed();
  }

  #handlePackets(): void {
    while (!this.#isClosed) {
      const frame = this.#framer.next(this.#platform.faults.maxPacketSize);
      if (frame === "incomplete") {
        return;
      }
      if (frame === "malformed" || frame === "oversize") {
        this.close(REASON.MALFORMED_PACKET);
        return;
      }
      this.#platform.counters.packetsIn += 1;
      this.#record("in", frame.bytes);
      this.#handlePacket(frame);
    }
  }

  #handlePacket(frame: Frame): void {
    const isPublish = (frame.bytes[0] ?? 0) >> 4 === PACKET_TYPE.PUBLISH;
    const isLast = this.#platform.faults.takePacket(isPublish);
    if (isLast) {
      // Earlier answers still go out, the one to this packet does not.
      this.flush();
    }
    this.#handler?.onPacket(frame);
    if (isLast) {
      this.reset();
    }
  }

  #record(direction: "in" | "out", bytes: Buffer): void {
    this.#platform.transcript?.add({
      atMs: this.#platform.clock.monotonicMs(),
      connection: this.number,
      direction,
      packet: packetName(bytes[0] ?? 0),
      bytes,
    });
  }
}
