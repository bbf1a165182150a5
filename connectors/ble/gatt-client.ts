import { assert, DataError, RejectedError } from "#sdk/errors";
import {
  ATT,
  ATT_CHANNEL,
  type Declaration,
  errorCode,
  errorResponse,
  type FoundDescriptor,
  type FoundService,
  packet,
  readConfiguration,
  readDeclarations,
  readDescriptors,
  readServices,
  TYPE,
} from "./att.ts";
import { attReason, INVALID_REQUEST, UNLIKELY_ERROR } from "./att-errors.ts";

/** A characteristic of a connected peripheral. Its handles are its own alone; a UUID may be that of several. */
export interface Characteristic {
  /** As `normalUuid` makes it. */
  readonly uuid: string;
  /** Handle of its value. */
  readonly handle: number;
  /** Handle of its declaration, just before. */
  readonly declaration: number;
  /** Last handle of what belongs to it. */
  readonly endHandle: number;
  readonly properties: readonly string[];
  readonly service: FoundService;
}

const LAST_HANDLE = 0xffff;
/** Longest value of a characteristic (Core, Vol 3 Part F 3.2.9). */
const MAX_VALUE_BYTES = 512;
const EXECUTE = Uint8Array.of(1);
const CANCEL = Uint8Array.of(0);
const UNPAIRED = "it needs pairing, which has failed";
const NOTIFICATIONS = 1;
const INDICATIONS = 2;

/**
 * Talks to a peripheral by handles. noble's own way keeps one characteristic for each UUID of a service, one service for each UUID, and
 * waits for ever when it is refused; of noble only the queue of requests is used. Nothing here has a time limit: whoever calls has one.
 * Every method throws RejectedError when the peripheral refuses, DataError when it answers something else.
 */
export class GattClient {
  readonly #gatt: NobleGatt;
  readonly #listeners = new Map<number, (bytes: Uint8Array) => void>();
  #last: Promise<unknown> = Promise.resolve();
  /** Why noble has got no answer to the request of now. */
  #silence: string | undefined;

  constructor(gatt: NobleGatt) {
    assert(
      typeof gatt._queueCommand === "function" &&
        typeof gatt.onAclStreamData === "function" &&
        typeof gatt._mtu === "number" &&
        gatt._currentCommand !== undefined,
      "noble's GATT layer is not the one of the pinned version",
    );
    this.#gatt = gatt;
    gatt.on("handleNotify", (_address, handle, bytes) =>
      this.#listeners.get(handle)?.(Uint8Array.from(bytes)),
    );
    this.#endSilences(gatt._aclStream);
  }

  /** Nothing is handed on any more. */
  close(): void {
    this.#listeners.clear();
  }

  /** All characteristics, in the order of their handles. */
  async discover(): Promise<readonly Characteristic[]> {
    return await this.#alone(async () => {
      const found: Characteristic[] = [];
      for (const service of await this.#services()) {
        const declarations = await this.#declarations(service);
        for (const [index, one] of declarations.entries()) {
          const next = declarations[index + 1];
          found.push({
            uuid: one.uuid,
            handle: one.valueHandle,
            declaration: one.handle,
            endHandle: next === undefined ? service.endHandle : next.handle - 1,
            properties: one.properties,
            service,
          });
        }
      }
      return found;
    });
  }

  async descriptors({ handle, endHandle }: Characteristic): Promise<readonly FoundDescriptor[]> {
    return await this.#alone(
      async () =>
        await this.#walk(handle + 1, endHandle, async (from) => {
          const answer = await this.#ask(packet(ATT.findInformation, [from, endHandle]));
          const found = answer === undefined ? [] : readDescriptors(answer);
          return { found, last: found.at(-1)?.handle };
        }),
    );
  }

  /** The value at a handle, whole. */
  async read(handle: number): Promise<Uint8Array> {
    return await this.#alone(async () => {
      const parts = [(await this.#need(packet(ATT.read, [handle]))).subarray(1)];
      let size = parts[0]?.length ?? 0;
      // A packet that is full may be the beginning of a longer value.
      let isFull = size === this.#gatt._mtu - 1;
      while (isFull && size < MAX_VALUE_BYTES) {
        const answer = await this.#ask(packet(ATT.readBlob, [handle, size]));
        const part = answer?.subarray(1) ?? new Uint8Array(0);
        parts.push(part);
        size += part.length;
        isFull = part.length === this.#gatt._mtu - 1;
      }
      return Uint8Array.from(Buffer.concat(parts));
    });
  }

  /** Writes with a response. A value that does not fit one packet is written whole or not at all. */
  async write(handle: number, bytes: Uint8Array): Promise<void> {
    await this.#alone(async () => {
      if (bytes.length <= this.#gatt._mtu - 3) {
        await this.#need(packet(ATT.write, [handle], bytes));
        return;
      }
      const step = this.#gatt._mtu - 5;
      for (let offset = 0; offset < bytes.length; offset += step) {
        const part = bytes.subarray(offset, offset + step);
        try {
          await this.#need(packet(ATT.prepareWrite, [handle, offset], part));
        } catch (error) {
          await this.#ask(packet(ATT.executeWrite, [], CANCEL));
          throw error;
        }
      }
      await this.#need(packet(ATT.executeWrite, [], EXECUTE));
    });
  }

  /** Writes without a response: resolves when it is sent. */
  async writeCommand(handle: number, bytes: Uint8Array): Promise<void> {
    const room = this.#gatt._mtu - 3;
    if (bytes.length > room) {
      throw new RejectedError(
        `The value has ${bytes.length} bytes; without a response the peripheral takes ${room}`,
      );
    }
    await this.#alone(async () => {
      const sent = Promise.withResolvers<void>();
      const command = packet(ATT.writeCommand, [handle], bytes);
      this.#gatt._queueCommand(command, null, sent.resolve);
      await sent.promise;
    });
  }

  /** Hands each notification, else each indication, to `listener` until `close`. */
  async subscribe(
    { handle, declaration, endHandle, properties }: Characteristic,
    listener: (bytes: Uint8Array) => void,
  ): Promise<void> {
    this.#listeners.set(handle, listener);
    await this.#alone(async () => {
      const answer = await this.#need(
        packet(ATT.readByType, [declaration, endHandle, TYPE.configuration]),
      );
      const configuration = readConfiguration(answer);
      const bit = properties.includes("notify") ? NOTIFICATIONS : INDICATIONS;
      const bits = new Uint8Array(2);
      new DataView(bits.buffer).setUint16(0, configuration.bits | bit, true);
      await this.#need(packet(ATT.write, [configuration.handle], bits));
    });
  }

  async #services(): Promise<readonly FoundService[]> {
    return await this.#walk(1, LAST_HANDLE, async (from) => {
      const request = packet(ATT.readByGroup, [from, LAST_HANDLE, TYPE.primaryService]);
      const answer = await this.#ask(request);
      const found = answer === undefined ? [] : readServices(answer);
      return { found, last: found.at(-1)?.endHandle };
    });
  }

  async #declarations({ startHandle, endHandle }: FoundService): Promise<readonly Declaration[]> {
    return await this.#walk(startHandle, endHandle, async (from) => {
      const answer = await this.#ask(
        packet(ATT.readByType, [from, endHandle, TYPE.characteristic]),
      );
      const found = answer === undefined ? [] : readDeclarations(answer);
      return { found, last: found.at(-1)?.valueHandle };
    });
  }

  /** Asks again behind what was found, to the end of the handles or until nothing more is found. */
  async #walk<T>(
    first: number,
    end: number,
    look: (
      from: number,
    ) => Promise<{ readonly found: readonly T[]; readonly last?: number | undefined }>,
  ): Promise<readonly T[]> {
    const all: T[] = [];
    let from = first;
    while (from <= end) {
      const { found, last } = await look(from);
      if (last === undefined) {
        break;
      }
      if (last < from) {
        throw new DataError("Cannot look around on the peripheral: its handles go backwards");
      }
      all.push(...found);
      from = last + 1;
    }
    return all;
  }

  /** The answer; `undefined` when it is refused. */
  async #ask(request: Buffer): Promise<Uint8Array | undefined> {
    const answer = await this.#send(request);
    return errorCode(answer) === undefined ? answer : undefined;
  }

  async #need(request: Buffer): Promise<Uint8Array> {
    const answer = await this.#send(request);
    const code = errorCode(answer);
    if (code !== undefined) {
      throw new RejectedError(`The peripheral refuses: ${this.#silence ?? attReason(code)}`);
    }
    return answer;
  }

  /**
   * noble passes over the answer "invalid request", and tries to pair where that is asked for, but not what to do when it fails. It
   * would wait for ever then, and so would everything behind: its request gets an error response from here.
   */
  #endSilences(stream: NobleStream): void {
    const answer = (reason: string): void => {
      const request = this.#gatt._currentCommand?.buffer[0];
      if (request !== undefined) {
        this.#silence = reason;
        this.#gatt.onAclStreamData(ATT_CHANNEL, errorResponse(request, UNLIKELY_ERROR));
      }
    };
    stream.on("data", (channel, bytes) => {
      if (channel === ATT_CHANNEL && errorCode(bytes) === INVALID_REQUEST) {
        answer(attReason(INVALID_REQUEST));
      }
    });
    stream.on("encryptFail", () => answer(UNPAIRED));
    stream.on("encrypt", (isEncrypted) => {
      if (!isEncrypted) {
        answer(UNPAIRED);
      }
    });
  }

  /** One request and its response, or error response. */
  async #send(request: Buffer): Promise<Uint8Array> {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    this.#silence = undefined;
    this.#gatt._queueCommand(request, (bytes) => resolve(Uint8Array.from(bytes)));
    const answer = await promise;
    const opcode = request[0] ?? 0;
    if (errorCode(answer) === undefined && answer[0] !== opcode + 1) {
      throw new DataError(`The peripheral answers request ${opcode} with packet ${answer[0]}`);
    }
    return answer;
  }

  /** Somebody may have stopped waiting for a job that goes on: what it does in several steps is not mixed with the next. */
  async #alone<T>(job: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await job();
    } finally {
      resolve();
    }
  }
}
