import {
  type ConnectorHost,
  type DeviceData,
  type DeviceMessage,
  type DownlinkConverter,
  type Json,
  openSerialPort,
  RpcError,
  type SerialPort,
  supervise,
  TransientError,
  type UplinkConverter,
} from "tbgw/sdk";
import type { SerialAttributeUpdate, SerialDeviceConfig, SerialRpc } from "./serial-config.ts";
import { SerialMessages } from "./serial-messages.ts";
import { readPart } from "./serial-part.ts";

/** What a device needs of its surroundings. */
export interface SerialDeviceOptions {
  readonly config: SerialDeviceConfig;
  readonly host: ConnectorHost;
  readonly convert: UplinkConverter<DeviceMessage>;
  readonly encode: DownlinkConverter<SerialRpc | SerialAttributeUpdate>;
  /** Takes what the device said; never waits. */
  readonly put: (records: readonly DeviceData[]) => void;
  /** The port was opened or lost. */
  readonly onChange: () => void;
}

/** A call whose answer is awaited. */
interface Waiting {
  readonly entry: SerialRpc;
  readonly answer: PromiseWithResolvers<Uint8Array>;
  /** A message that had begun before the call was sent is not its answer. */
  hasOlder: boolean;
}

const PARITY = { N: "none", E: "even", O: "odd", M: "mark", S: "space" } as const;

/** One device on its serial port: reads its messages, sends commands, and opens the port again whenever it is lost. */
export class SerialDevice {
  readonly config: SerialDeviceConfig;
  readonly #options: SerialDeviceOptions;
  #port: SerialPort | undefined;
  #messages = new SerialMessages();
  #waiting: Waiting | undefined;
  /** An answer ended with a text of its own: the rest of its line says nothing. */
  #isRestOfLine = false;
  /** The command at work; the next one begins after it. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SerialDeviceOptions) {
    this.config = options.config;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#port !== undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { host } = this.#options;
    const name = `serial port ${this.config.port}`;
    await supervise({ name, host, run: (inner, healthy) => this.#talk(inner, healthy) }, signal);
  }

  /** Sends what the converter makes of a changed attribute. */
  async update(entry: SerialAttributeUpdate, value: Json, signal: AbortSignal): Promise<void> {
    const { deviceName } = this.config;
    const name = entry.attributeOnPlatform;
    const data = this.#options.encode({ deviceName, source: "attribute", name, value, entry });
    if (data !== null && data.length > 0) {
      await this.#inTurn(() => this.#send(data, signal));
    }
  }

  /** Sends what the converter makes of a call; resolves with the answer when there is one. @throws RpcError */
  async call(entry: SerialRpc, value: Json, signal: AbortSignal): Promise<Json | void> {
    const { deviceName } = this.config;
    const name = entry.method;
    const data = this.#options.encode({ deviceName, source: "rpc", name, value, entry });
    if (data === null || data.length === 0) {
      throw new RpcError("No data to send", 400);
    }
    return await this.#inTurn(async () => {
      if (!entry.withResponse) {
        await this.#send(data, signal);
        return undefined;
      }
      return { result: await this.#ask(entry, data, signal) };
    });
  }

  async #talk(signal: AbortSignal, healthy: () => void): Promise<void> {
    const { host, onChange } = this.#options;
    const { deviceName, deviceType, port: path, baudrate, bytesize, stopbits } = this.config;
    const { parity, rtscts, xonxoff } = this.config;
    const line = { dataBits: bytesize, parity: PARITY[parity], stopBits: stopbits };
    await using port = await openSerialPort(
      { path, baudRate: baudrate, ...line, rtscts, xonxoff },
      signal,
    );
    for (const warning of port.warnings) {
      host.log.warn("Serial port differs from its configuration", { port: path, warning });
    }
    this.#port = port;
    this.#messages = new SerialMessages();
    healthy();
    onChange();
    await host.devices.connect(deviceName, deviceType);
    try {
      for await (const chunk of port.read(signal)) {
        host.metrics.count("connectorBytesReceived", chunk.length);
        this.#messages.push(chunk);
        this.#readAll();
      }
    } finally {
      this.#port = undefined;
      this.#waiting?.answer.reject(new RpcError(`Serial port ${path} was lost`, 503));
      if (!signal.aborted) {
        onChange();
        await host.devices.disconnect(deviceName);
      }
    }
  }

  #readAll(): void {
    const { metrics } = this.#options.host;
    for (;;) {
      const waiting = this.#waiting;
      const ownEnd = waiting?.hasOlder === false ? waiting.entry.responseUntilDelimiter : undefined;
      const message = this.#messages.next(ownEnd ?? this.config.delimiter);
      if (message === undefined) {
        return;
      }
      if (message === "too-long") {
        metrics.rejected("too-long");
      } else if (!this.#isRest(message)) {
        metrics.count("connectorMsgsReceived");
        this.#handle(message, waiting);
      }
      if (waiting !== undefined) {
        waiting.hasOlder = false;
      }
    }
  }

  #isRest({ length }: Uint8Array): boolean {
    const isRest = this.#isRestOfLine && length === Buffer.byteLength(this.config.delimiter);
    this.#isRestOfLine = false;
    return isRest;
  }

  #handle(message: Uint8Array, waiting: Waiting | undefined): void {
    if (waiting === undefined || !isAnswer(message, waiting)) {
      this.#goUp(message);
      return;
    }
    this.#waiting = undefined;
    waiting.answer.resolve(message);
    this.#isRestOfLine = waiting.entry.responseUntilDelimiter !== undefined;
  }

  #goUp(payload: Uint8Array): void {
    const { host, convert, put } = this.#options;
    const { deviceName, port: address } = this.config;
    put(convert({ payload, deviceName, address, receivedTs: host.clock.now() }));
  }

  async #ask(entry: SerialRpc, data: Uint8Array | string, signal: AbortSignal): Promise<Json> {
    const waiting: Waiting = {
      entry,
      answer: Promise.withResolvers<Uint8Array>(),
      hasOlder: this.#messages.isInside,
    };
    const { answer } = waiting;
    const { clock } = this.#options.host;
    const waitMs = entry.responseTimeoutSec * 1000;
    const limit = clock.deadline(waitMs, signal);
    const onEnd = (): void =>
      answer.reject(
        signal.aborted ? signal.reason : new RpcError(`No answer within ${waitMs} ms`, 408),
      );
    limit.addEventListener("abort", onEnd, { once: true });
    this.#waiting = waiting;
    try {
      // Whichever comes first: the answer may be there before the write is known to be done.
      await Promise.race([this.#send(data, signal), answer.promise]);
      return this.#read(entry, await answer.promise);
    } finally {
      limit.removeEventListener("abort", onEnd);
      this.#waiting = undefined;
    }
  }

  #read(entry: SerialRpc, answer: Uint8Array): Json {
    return readPart(answer, {
      type: entry.responseType,
      fromByte: entry.responseFromByte,
      toByte: entry.responseToByte,
      untilDelimiter: entry.responseUntilDelimiter,
    });
  }

  async #send(data: Uint8Array | string, signal: AbortSignal): Promise<void> {
    const { port: path, writeTimeout } = this.config;
    const port = this.#port;
    if (port === undefined) {
      throw new TransientError(`Serial port ${path} is not open`);
    }
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    await port.write(bytes, this.#options.host.clock.deadline(writeTimeout * 1000, signal));
    this.#options.host.metrics.count("connectorMsgsSent");
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }
}

function isAnswer(message: Uint8Array, { entry, hasOlder }: Waiting): boolean {
  const start = Buffer.from(entry.responseStartsWith ?? "");
  return !hasOlder && start.equals(message.subarray(0, start.length));
}
