import type { ConnectorHost } from "#sdk/connector";
import type { DownlinkConverter } from "#sdk/converter";
import { DataError, errorText } from "#sdk/errors";
import type { AttributeUpdate, Json, RpcRequest } from "#sdk/model";
import { isBroadcast, type ModbusReply, type ModbusRequest } from "./client.ts";
import {
  type CommandItem,
  convertedWrite,
  parseReserved,
  readCodeOf,
  readCommand,
  reservedKind,
  type WritePlan,
  writeCommand,
} from "./downlink.ts";
import type { WriteOrders } from "./encoder.ts";
import { LineDown, ModbusException, NoAnswer } from "./failures.ts";
import type { UpdateItemConfig } from "./item-config.ts";
import type { Priority } from "./job-queue.ts";
import type { SlaveConfig } from "./slave-config.ts";
import { failureText, isTalkFailure, type Unit } from "./unit.ts";
import type { TalkSettings } from "./waits.ts";

/** Time for an attribute to be written, unless its item says otherwise. */
const WRITE_TIMEOUT_MS = 5000;

/** A device as commands see it: methods, attribute updates, and what waits for it to come back. */
export class CommandedDevice {
  readonly config: SlaveConfig;
  readonly unit: Unit;
  readonly talk: TalkSettings;
  readonly #host: ConnectorHost;
  readonly #orders: WriteOrders;
  readonly #convert: DownlinkConverter | undefined;
  /** The newest value of each item that could not be written: bounded by the configuration. */
  readonly #pending = new Map<UpdateItemConfig, Json>();
  /** How many values there have been for each item. */
  readonly #versions = new Map<UpdateItemConfig, number>();
  /** The write of an attribute that is at work; the next one begins after it. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly config: SlaveConfig;
    readonly unit: Unit;
    readonly talk: TalkSettings;
    readonly host: ConnectorHost;
    readonly convert: DownlinkConverter | undefined;
  }) {
    this.config = options.config;
    this.unit = options.unit;
    this.talk = options.talk;
    this.#host = options.host;
    this.#convert = options.convert;
    const { byteOrder, wordOrder, repack } = options.config;
    this.#orders = { byteOrder, wordOrder, repack };
  }

  /** Shared attributes that are written to the device. */
  get sharedKeys(): readonly string[] {
    return [...new Set(this.config.attributeUpdates.map(({ tag }) => tag))];
  }

  /** Answers a method of the device, always with one answer. */
  async rpc(request: RpcRequest, signal: AbortSignal): Promise<Json> {
    const { method, params, timeoutMs } = request;
    const reserved = reservedKind(method);
    try {
      if (reserved !== undefined) {
        const { item, value } = parseReserved(reserved, params);
        return { result: { value: await this.execute(item, value, { timeoutMs }, signal) } };
      }
      const item = this.config.rpc.find(({ tag }) => tag === method);
      if (item === undefined) {
        return { result: { error: `Method not found for ${method}` } };
      }
      return { result: { value: await this.execute(item, params, { timeoutMs }, signal) } };
    } catch (error) {
      return this.#failure(error, reserved !== undefined);
    }
  }

  /**
   * Carries out one command and resolves with the value read, or with the one written.
   * @throws DataError for a value or item that cannot be, ModbusException, NoAnswer, LineDown, TransientError
   */
  async execute(
    item: CommandItem,
    value: Json,
    options: { readonly timeoutMs: number; readonly priority?: Priority },
    signal: AbortSignal,
  ): Promise<Json> {
    const { unit, talk } = this;
    const { priority = "command", timeoutMs: expiresMs } = options;
    if (readCodeOf(item.functionCode) !== undefined) {
      this.#checkReadable();
      const { request, decode } = readCommand(item, unit.id, this.#orders);
      const turn = { priority, isWrite: false, expiresMs, talk };
      return decode((await unit.command(turn, signal, (send) => send(request))).bytes);
    }
    const plan = this.#encode(item, value, priority);
    if (plan?.kind === "bit") {
      this.#checkReadable();
    }
    if (plan !== undefined) {
      const turn = { priority, isWrite: true, expiresMs, talk };
      await unit.command(turn, signal, (send) => carryOut(plan, send));
    }
    return value;
  }

  /** Writes what changed, item by item. What cannot be written because the device is away waits for it to come back. */
  async update({ values }: AttributeUpdate, signal: AbortSignal): Promise<void> {
    for (const item of this.config.attributeUpdates) {
      const value = Object.hasOwn(values, item.tag) ? values[item.tag] : undefined;
      if (value !== undefined) {
        await this.#writeAttribute(item, value, signal);
      }
    }
  }

  /** Writes what waits for the device, each time it is heard again, until `signal` aborts; rejects with its reason. */
  async flushPending(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.unit.changes.until(() => this.#canFlush(), signal);
      for (const item of this.config.attributeUpdates) {
        const value = this.#pending.get(item);
        if (value !== undefined) {
          await this.#writeAttribute(item, value, signal);
        }
      }
      if (this.#pending.size > 0) {
        // It went away again; its next change of state is the next chance.
        await this.unit.changes.next(signal);
      }
    }
  }

  #canFlush(): boolean {
    return this.#pending.size > 0 && this.unit.state === "up" && this.unit.bus.isConnected;
  }

  /** Writes one item, after those before it. A value that has a successor by then is left out. */
  async #writeAttribute(item: UpdateItemConfig, value: Json, signal: AbortSignal): Promise<void> {
    const version = (this.#versions.get(item) ?? 0) + 1;
    this.#versions.set(item, version);
    this.#pending.delete(item);
    const isNewest = (): boolean => this.#versions.get(item) === version;
    const mine = this.#writing.then(async () => {
      if (!isNewest() || (await this.#isWritten(item, value, signal))) {
        return;
      }
      if (isNewest()) {
        this.#pending.set(item, value);
      }
    });
    this.#writing = mine.catch(() => undefined);
    await mine;
  }

  /** `false`: the device is away. What it refuses counts as done. */
  async #isWritten(item: UpdateItemConfig, value: Json, signal: AbortSignal): Promise<boolean> {
    const { log } = this.#host;
    const fields = { device: this.config.deviceName, attribute: item.tag };
    if (!this.unit.isPollable) {
      log.info("An attribute waits for its device", fields);
      return false;
    }
    try {
      const timeoutMs = item.timeout ?? WRITE_TIMEOUT_MS;
      await this.execute(item, value, { timeoutMs, priority: "write" }, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof DataError || isTalkFailure(error))) {
        throw error;
      }
      const isAway = error instanceof NoAnswer || error instanceof LineDown;
      this.#host.metrics.count("writesFailed");
      log.error("Cannot write an attribute", {
        ...fields,
        error: failureText(error),
        ...(isAway ? { next: "it is written when the device comes back" } : {}),
      });
      return !isAway;
    }
  }

  #checkReadable(): void {
    const { id, bus } = this.unit;
    if (isBroadcast(bus.line, { unit: id })) {
      throw new DataError("unit 0 is a broadcast on a serial line: nothing can be read from it");
    }
  }

  #encode(item: CommandItem, value: Json, priority: Priority): WritePlan | undefined {
    if (this.#convert === undefined) {
      return writeCommand(value, item, this.unit.id, this.#orders);
    }
    const source = priority === "write" ? "attribute" : "rpc";
    const { deviceName } = this.config;
    const entry: Json = { ...plain(item) };
    const converted = this.#convert({ deviceName, source, name: item.tag, value, entry });
    return converted === null ? undefined : convertedWrite(converted, item, this.unit.id);
  }

  #failure(error: unknown, isReserved: boolean): Json {
    if (error instanceof DataError) {
      return isReserved && error.message.startsWith("The requested RPC")
        ? { error: error.message, success: false }
        : { result: { error: error.message } };
    }
    if (!isTalkFailure(error)) {
      throw error;
    }
    const isGone =
      this.unit.state === "down" && (error instanceof NoAnswer || error instanceof LineDown);
    return { result: { error: isGone ? "device is not responding" : failureText(error) } };
  }
}

/** An item of the configuration as JSON. */
function plain(item: CommandItem): { readonly [key: string]: Json } {
  const entries = Object.entries(item).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries);
}

/** Sends a write. An "acknowledge" means that the device has taken it on (Modbus application protocol §7, code 5). */
async function carryOut(
  plan: WritePlan,
  send: (request: ModbusRequest) => Promise<ModbusReply>,
): Promise<void> {
  try {
    if (plan.kind === "request") {
      await send(plan.request);
      return;
    }
    const { unit, address, bit, on } = plan;
    const { bytes } = await send({ functionCode: 3, unit, address, count: 1 });
    const register = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
    const changed = on ? register | (1 << bit) : register & ~(1 << bit);
    await send({ functionCode: 6, unit, address, register: changed });
  } catch (error) {
    if (!(error instanceof ModbusException && error.code === 5)) {
      throw error;
    }
  }
}

/** What an error says, for an answer. */
export function answerText(error: unknown): string {
  return isTalkFailure(error) ? failureText(error) : errorText(error);
}
