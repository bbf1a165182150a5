import { abortable } from "#sdk/abortable";
import type { ConnectorHost } from "#sdk/connector";
import { DataError } from "#sdk/errors";
import type { AttributeUpdate, DeviceData, Json, RpcRequest } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import { Schedule } from "#sdk/schedule";
import { supervise } from "#sdk/supervise";
import {
  type CommandItem,
  parseReserved,
  readCodeOf,
  readCommand,
  reservedKind,
  writeCommand,
} from "./downlink.ts";
import type { Frame } from "./frames.ts";
import type { ReadTarget } from "./items.ts";
import { lineName, lineOf } from "./line.ts";
import type { ServerConfig } from "./server-config.ts";
import { listen } from "./server-listener.ts";
import { type Identity, serve, type Written } from "./server-pdu.ts";
import { createPlaces, type ServerPlaces, tablesOf } from "./server-places.ts";
import { bitBytes, type TableCode, wordBytes } from "./server-tables.ts";

/** Writes of masters that wait to be reported; the oldest ones are merged, never lost: what counts is what the tables hold. */
const MAX_WAITING = 1000;

/** What the server needs of its surroundings. */
export interface ServerOptions {
  readonly config: ServerConfig;
  readonly host: ConnectorHost;
  readonly put: (records: readonly DeviceData[], signal: AbortSignal) => Promise<void>;
}

/**
 * The gateway as a Modbus server of its own: masters read and write its tables, what they write is reported at once, and everything
 * in each period. Shared attributes and methods write the same tables.
 */
export class OwnServer {
  readonly #options: ServerOptions;
  readonly #places: ServerPlaces;
  readonly #identity: Identity;
  readonly #written: Written[] = [];
  #wake = Promise.withResolvers<void>();

  /** @throws DataError for a first value that does not fit */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.#places = createPlaces(options.config);
    this.#identity = identityOf(options.config);
  }

  get deviceName(): string {
    return this.#options.config.deviceName;
  }

  /** Shared attributes that are written into the tables. */
  get sharedKeys(): readonly string[] {
    const items = tablesOf(this.#options.config.values).flatMap(
      ([, table]) => table.attributeUpdates,
    );
    return [...new Set(items.map(({ tag }) => tag))];
  }

  /** What runs until its signal aborts. */
  tasks(): readonly ((signal: AbortSignal) => Promise<unknown>)[] {
    const { config } = this.#options;
    const listening = (signal: AbortSignal): Promise<unknown> => this.#listen(signal);
    return config.sendDataToThingsBoard
      ? [listening, (signal) => this.#reportAll(signal), (signal) => this.#reportWrites(signal)]
      : [listening];
  }

  /** Answers a method of the server's device. */
  async rpc({ method, params }: RpcRequest): Promise<Json> {
    const reserved = reservedKind(method);
    try {
      if (reserved !== undefined) {
        const { item, value } = parseReserved(reserved, params);
        return { result: { value: this.#execute(item, value) } };
      }
      for (const [code, table] of tablesOf(this.#options.config.values)) {
        const item = table.rpc.find(({ tag }) => tag === method);
        if (item !== undefined) {
          return { result: { value: this.#execute(withCode(item, code), params) } };
        }
      }
      return await Promise.resolve({ result: { error: `Method not found for ${method}` } });
    } catch (error) {
      if (error instanceof DataError) {
        return { result: { error: error.message } };
      }
      throw error;
    }
  }

  /** Writes shared attributes into the tables. */
  update({ values }: AttributeUpdate): void {
    for (const [code, table] of tablesOf(this.#options.config.values)) {
      for (const item of table.attributeUpdates) {
        const value = Object.hasOwn(values, item.tag) ? values[item.tag] : undefined;
        if (value !== undefined) {
          this.#tryWrite(withCode(item, code), value);
        }
      }
    }
  }

  #tryWrite(item: CommandItem, value: Json): void {
    try {
      this.#execute(item, value);
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      const { host } = this.#options;
      host.metrics.count("writesFailed");
      host.log.error("Cannot write an attribute", {
        device: this.deviceName,
        attribute: item.tag,
        error,
      });
    }
  }

  /** One command on the tables. Inputs, which masters cannot write, are written as well. @throws DataError */
  #execute(item: CommandItem & { readonly table?: TableCode }, value: Json): Json {
    const { byteOrder, wordOrder, repack, unitId } = this.#options.config;
    const orders = { byteOrder, wordOrder, repack };
    if (readCodeOf(item.functionCode) !== undefined) {
      const { request, decode } = readCommand(item, unitId, orders);
      const bytes = this.#bytes(request.functionCode, request.address, request.count);
      if (bytes === undefined) {
        throw new DataError("illegal data address (exception 2)");
      }
      return decode(bytes);
    }
    const plan = writeCommand(value, item, unitId, orders);
    const isCoil = item.functionCode === 5 || item.functionCode === 15;
    const table = item.table ?? (isCoil ? 1 : 3);
    const { address } = item;
    const words = plan.kind === "bit" ? [this.#withBit(table, plan)] : wordsOf(plan.request);
    this.#places.tables[table].write(address, words);
    this.#changed({ table, address, count: words.length });
    return value;
  }

  #withBit(
    table: TableCode,
    { address, bit, on }: { readonly address: number; readonly bit: number; readonly on: boolean },
  ): number {
    const [register = 0] = this.#places.tables[table].read(address, 1) ?? [];
    return on ? register | (1 << bit) : register & ~(1 << bit);
  }

  #bytes(table: TableCode, address: number, count: number): Uint8Array<ArrayBuffer> | undefined {
    const values = this.#places.tables[table].read(address, count);
    return values === undefined ? undefined : table <= 2 ? bitBytes(values) : wordBytes(values);
  }

  async #listen(signal: AbortSignal): Promise<never> {
    const { config, host } = this.#options;
    return await supervise(
      {
        name: `server on ${lineName(lineOf({ ...config, security: undefined }))}`,
        host,
        run: (stop, healthy) => {
          const answer = (frame: Frame): Uint8Array | undefined => this.#answer(frame);
          return listen(config, { clock: host.clock, answer, ready: healthy }, stop);
        },
      },
      signal,
    );
  }

  /** On a serial line other units are none of our business, and a broadcast is carried out without an answer. */
  #answer({ unit, pdu }: Frame): Uint8Array | undefined {
    const { config, host } = this.#options;
    const isSerial = config.type === "serial";
    const isBroadcast = isSerial && unit === 0;
    if (isSerial && !isBroadcast && unit !== config.unitId) {
      return undefined;
    }
    host.metrics.count("serverRequests");
    const served = serve(pdu, this.#places.tables, this.#identity);
    if (served.written !== undefined) {
      this.#changed(served.written);
    }
    return isBroadcast ? undefined : served.pdu;
  }

  #changed(written: Written): void {
    if (!this.#options.config.sendDataToThingsBoard) {
      return;
    }
    if (this.#written.length < MAX_WAITING) {
      this.#written.push(written);
    } else {
      // Everything at once instead of piece by piece.
      this.#written.length = 0;
      for (const table of [1, 2, 3, 4] as const) {
        this.#written.push({ table, address: 0, count: 0x1_0000 });
      }
    }
    this.#wake.resolve();
  }

  async #reportAll(signal: AbortSignal): Promise<never> {
    const { config, host } = this.#options;
    await host.devices.connect(config.deviceName, config.deviceType);
    const schedule = new Schedule(config.pollPeriod, host);
    for (;;) {
      await schedule.next(signal);
      await this.#report(this.#places.targets, signal);
    }
  }

  async #reportWrites(signal: AbortSignal): Promise<never> {
    for (;;) {
      await abortable(this.#wake.promise, signal);
      this.#wake = Promise.withResolvers<void>();
      const writes = this.#written.splice(0);
      const touched = this.#places.targets.filter((target) =>
        writes.some((written) => isTouched(target, written)),
      );
      await this.#report(touched, signal);
    }
  }

  async #report(targets: readonly ReadTarget[], signal: AbortSignal): Promise<void> {
    const { config, put, host } = this.#options;
    const sections = { telemetry: new Map<string, Json>(), attributes: new Map<string, Json>() };
    for (const target of targets) {
      const bytes = this.#bytes(target.functionCode, target.first, target.length);
      const value =
        bytes === undefined ? undefined : target.decoder.decode(new DataView(bytes.buffer), 0);
      if (value === undefined) {
        host.metrics.rejected("not-finite");
      } else {
        sections[target.section].set(target.key, value);
      }
    }
    const { telemetry, attributes } = sections;
    if (telemetry.size + attributes.size === 0) {
      return;
    }
    const strategy = toReportStrategy(config.reportStrategy);
    const { keyStrategies } = this.#places;
    const record: DeviceData = {
      deviceName: config.deviceName,
      deviceType: config.deviceType,
      receivedTs: host.clock.now(),
      ...(telemetry.size === 0
        ? undefined
        : { telemetry: [{ values: Object.fromEntries(telemetry) }] }),
      ...(attributes.size === 0 ? undefined : { attributes: Object.fromEntries(attributes) }),
      ...(strategy === undefined ? undefined : { strategy }),
      ...(keyStrategies === undefined ? undefined : { keyStrategies }),
    };
    await put([record], signal);
  }
}

function isTouched(target: ReadTarget, { table, address, count }: Written): boolean {
  return (
    target.functionCode === table &&
    target.first < address + count &&
    address < target.first + target.length
  );
}

/** An item with the function code that suits its table, unless it has one. */
function withCode<T extends { readonly functionCode?: number | undefined }>(
  item: T,
  table: TableCode,
): T & { readonly functionCode: number; readonly table: TableCode } {
  const fallback = table <= 2 ? 15 : 16;
  return { ...item, functionCode: item.functionCode ?? fallback, table };
}

function wordsOf(
  request: Extract<ReturnType<typeof writeCommand>, { kind: "request" }>["request"],
): readonly number[] {
  switch (request.functionCode) {
    case 5:
      return [Number(request.on)];
    case 6:
      return [request.register];
    case 15:
      return request.coils.map(Number);
    case 16:
      return request.registers;
    default:
      return [];
  }
}

function identityOf({ identity }: ServerConfig): Identity {
  if (identity === undefined) {
    return new Map();
  }
  const { vendorName, productCode, majorMinorRevision, vendorUrl, productName } = identity;
  const model = identity.ModelName ?? identity.modelName ?? "";
  const texts = [vendorName, productCode, majorMinorRevision, vendorUrl, productName, model];
  return new Map(texts.map((text, index) => [index, text]));
}
