import { EventEmitter } from "node:events";
import { TransientError } from "#sdk/errors";
import { AnswerReader } from "./answer-reader.ts";
import { encodeFrame, encodeRtu, type Framing } from "./frames.ts";
import type { Transport } from "./transport.ts";

/** What was sent and has no answer yet. */
export interface PendingRequest {
  readonly unit: number;
  readonly pdu: Uint8Array;
  /** Transaction identifier on the wire; counts for Modbus TCP alone. */
  readonly transaction: number;
  /** The place modbus-serial keeps it at. */
  readonly slot: number;
}

/** Counters of what did not belong to any request. */
export interface PortCounters {
  crcErrors: number;
  foreignFrames: number;
}

/** modbus-serial keeps its transactions by this many numbers. */
const SLOTS = 256;
const TRANSACTIONS = 65_536;

/**
 * The port of a modbus-serial client: turns its RTU frames into the framing of the line, and hands back only the frame that
 * answers a request, whatever else the line carries. modbus-serial itself fails a request at the first foreign frame.
 */
export class FramedPort extends EventEmitter {
  /** Which transaction the next `data` event answers; read by modbus-serial. */
  _transactionIdRead = 1;
  /** Which transaction the next `write` begins; read by modbus-serial. */
  _transactionIdWrite = 1;
  isOpen = true;
  readonly counters: PortCounters = { crcErrors: 0, foreignFrames: 0 };
  readonly #transport: Transport;
  readonly #framing: Framing;
  readonly #reader: AnswerReader;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #broken = Promise.withResolvers<TransientError>();
  readonly #localEcho: boolean;
  #transaction = 0;

  constructor(
    transport: Transport,
    options: {
      readonly framing: Framing;
      readonly datagrams: boolean;
      readonly localEcho: boolean;
    },
  ) {
    super();
    this.#transport = transport;
    this.#framing = options.framing;
    this.#localEcho = options.localEcho;
    this.#reader = new AnswerReader({
      framing: options.framing,
      datagrams: options.datagrams,
      counters: this.counters,
    });
    transport.onData = (bytes) => this.#receive(bytes);
  }

  /** Resolves when the stream cannot be read any further. */
  get broken(): Promise<TransientError> {
    return this.#broken.promise;
  }

  /** Called by modbus-serial. The line is open when it is made. */
  open(callback: () => void): void {
    callback();
  }

  /** Called by modbus-serial. */
  close(callback?: () => void): void {
    this.isOpen = false;
    this.#pending.clear();
    callback?.();
  }

  /** Called by modbus-serial with a whole RTU frame. */
  write(data: Uint8Array): void {
    const slot = this._transactionIdWrite;
    const unit = data[0] ?? 0;
    const pdu = data.slice(1, -2);
    this.#transaction = (this.#transaction + 1) % TRANSACTIONS;
    const request = { unit, pdu, slot, transaction: this.#transaction };
    this.#pending.set(slot, request);
    this._transactionIdWrite = (slot % (SLOTS - 1)) + 1;
    const bytes = encodeFrame(this.#framing, request, this.#transaction);
    // What was there before a request does not answer it.
    this.#reader.discard();
    if (this.#localEcho) {
      this.#reader.expectEcho(bytes);
    }
    this.#transport.write(bytes);
  }

  /** Ends the wait for an answer; one that still comes is foreign. */
  forget(slot: number): void {
    this.#pending.delete(slot);
  }

  /** Throws away what has been received and belongs to no frame. */
  discard(): void {
    this.#reader.discard();
  }

  #receive(bytes: Uint8Array): void {
    const isReadable = this.#reader.push(bytes, this.#pending, (request, frame) => {
      this.#pending.delete(request.slot);
      this._transactionIdRead = request.slot;
      this.emit("data", Buffer.from(encodeRtu(frame)));
    });
    if (!isReadable) {
      this.#broken.resolve(new TransientError("The peer does not speak Modbus TCP"));
    }
  }
}
