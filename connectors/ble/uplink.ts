import type { BleRead, UplinkConverter } from "#sdk/converter";
import { textOf } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import type { DeviceData, EpochMs, Json, ReportStrategy } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import { type ConverterType, compileDecode, type Decode } from "./codec.ts";
import type { DeviceConfig } from "./device-config.ts";
import type { ReadItem } from "./item-config.ts";
import { type Target, targetText } from "./target.ts";

/** An item of a device with its compiled converter. */
export interface BoundItem {
  readonly key: string;
  readonly section: "attributes" | "telemetry";
  readonly config: ReadItem;
  readonly decode: Decode;
}

/** What came for an item: bytes to convert, or a value as it is. */
export interface Reading {
  readonly item: BoundItem;
  readonly data: Uint8Array | { readonly value: Json };
}

/** The items that one characteristic feeds. */
export interface ItemGroup {
  readonly target: Target;
  readonly items: readonly BoundItem[];
}

/** The items of a device and how its records look. Pure but for an extension's converter. */
export class DeviceUplink {
  /** Items that are read, by characteristic. */
  readonly reads: readonly ItemGroup[];
  /** Items of notifications, by characteristic. */
  readonly notifies: readonly ItemGroup[];
  readonly advertised: readonly BoundItem[];
  readonly #device: DeviceConfig;
  readonly #strategy: ReportStrategy | undefined;
  readonly #keyStrategies: Readonly<Record<string, ReportStrategy>> | undefined;
  readonly #extension: UplinkConverter<BleRead> | undefined;

  constructor(
    device: DeviceConfig,
    options: {
      /** That of the connector. */
      readonly strategy: ReportStrategy | undefined;
      readonly extension: UplinkConverter<BleRead> | undefined;
    },
  ) {
    const items = [
      ...device.telemetry.map((config) => bind(device, config, "telemetry")),
      ...device.attributes.map((config) => bind(device, config, "attributes")),
    ];
    const ofMethod = (method: string): BoundItem[] =>
      items.filter(
        ({ config }) => config.dataSourceType === "characteristic" && config.method === method,
      );
    this.reads = byCharacteristic(ofMethod("read"));
    this.notifies = byCharacteristic(ofMethod("notify"));
    this.advertised = items.filter(({ config }) => config.dataSourceType === "advertisement");
    this.#device = device;
    this.#strategy = toReportStrategy(device.reportStrategy) ?? options.strategy;
    this.#keyStrategies = keyStrategies(items);
    this.#extension = options.extension;
  }

  /** Whether anything of it needs a connection. */
  get needsConnection(): boolean {
    return this.reads.length + this.notifies.length > 0;
  }

  /** Records of what came at one moment. An item that cannot be converted goes to `onBad` and costs no other. */
  records(
    readings: readonly Reading[],
    receivedTs: EpochMs,
    onBad: (item: BoundItem, error: DataError) => void,
  ): readonly DeviceData[] {
    if (this.#extension !== undefined) {
      const convert = this.#extension;
      return readings.flatMap((reading) => convert(this.#raw(reading, receivedTs)));
    }
    const values: Record<"attributes" | "telemetry", [string, Json][]> = {
      attributes: [],
      telemetry: [],
    };
    for (const { item, data } of readings) {
      try {
        const value = data instanceof Uint8Array ? item.decode(data) : data.value;
        values[item.section].push([item.key, value]);
      } catch (error) {
        if (!(error instanceof DataError)) {
          throw error;
        }
        onBad(item, error);
      }
    }
    const { attributes, telemetry } = values;
    if (attributes.length + telemetry.length === 0) {
      return [];
    }
    return [
      {
        deviceName: this.#device.name,
        deviceType: this.#device.deviceType,
        receivedTs,
        ...(telemetry.length === 0
          ? {}
          : { telemetry: [{ values: Object.fromEntries(telemetry) }] }),
        ...(attributes.length === 0 ? {} : { attributes: Object.fromEntries(attributes) }),
        ...(this.#strategy === undefined ? {} : { strategy: this.#strategy }),
        ...(this.#keyStrategies === undefined ? {} : { keyStrategies: this.#keyStrategies }),
      },
    ];
  }

  #raw({ item, data }: Reading, receivedTs: EpochMs): BleRead {
    const { name, MACAddress } = this.#device;
    return {
      key: item.key,
      section: item.section,
      deviceName: name,
      address: MACAddress,
      payload: data instanceof Uint8Array ? data : new TextEncoder().encode(textOf(data.value)),
      receivedTs,
    };
  }
}

/** The converter that `type` of a device means for a source. */
export function converterType(
  type: string | undefined,
  source: "characteristic" | "advertisement",
): ConverterType {
  if (type === undefined) {
    return source === "characteristic" ? "bytes" : "hex";
  }
  if (source === "advertisement") {
    return type === "hex" ? "hex" : "bytes";
  }
  return type === "bytes" ? "bytes" : "hex";
}

function bind(
  device: DeviceConfig,
  config: ReadItem,
  section: "attributes" | "telemetry",
): BoundItem {
  const decode = compileDecode(config, converterType(device.type, config.dataSourceType));
  return { key: config.key, section, config, decode };
}

function byCharacteristic(items: readonly BoundItem[]): readonly ItemGroup[] {
  const groups = Map.groupBy(items, ({ config }) => targetText(config));
  return [...groups.values()].flatMap((group) =>
    group[0] === undefined ? [] : [{ target: group[0].config, items: group }],
  );
}

function keyStrategies(
  items: readonly BoundItem[],
): Readonly<Record<string, ReportStrategy>> | undefined {
  const own: [string, ReportStrategy][] = [];
  for (const { key, config } of items) {
    const strategy = toReportStrategy(config.reportStrategy);
    if (strategy !== undefined) {
      own.push([key, strategy]);
    }
  }
  return own.length === 0 ? undefined : Object.fromEntries(own);
}
