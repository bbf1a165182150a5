import type { Json } from "#sdk/model";
import type { Orders } from "./codec.ts";
import { createDecoder, type Decoder, type ReadCode } from "./decoder.ts";
import type { ReadItemConfig } from "./item-config.ts";
import type { Span } from "./plan.ts";
import { addressRange } from "./problems.ts";

/** Where a value goes on the platform. */
export type Section = "attributes" | "telemetry";

/** One value that is read: a place, how to read it, and its key. */
export interface ReadTarget extends Span {
  /** Index of the device among those that are read together. */
  readonly device: number;
  readonly section: Section;
  readonly key: string;
  readonly functionCode: ReadCode;
  readonly decoder: Decoder;
}

/** What the items of one device have in common. */
export interface ItemContext {
  readonly device: number;
  readonly unitId: number;
  readonly orders: Orders;
  /** Decoders that are in use, so that a thousand alike items share one. */
  readonly decoders: Map<string, Decoder>;
}

/** The item with its function code, which is a fixed one in the tables of the gateway's own server. */
export type CompilableItem = Pick<
  ReadItemConfig,
  | "tag"
  | "type"
  | "address"
  | "objectsCount"
  | "divider"
  | "multiplier"
  | "round"
  | "bit"
  | "registerBit"
  | "bitTargetType"
  | "bitOrder"
  | "variants"
  | "trimNulls"
> & { readonly functionCode: ReadCode; readonly maxRegistersPerRequest?: number | undefined };

/** The values of a section. A range gives one for each of its places. */
export function compileItems(
  items: readonly CompilableItem[],
  section: Section,
  context: ItemContext,
): readonly ReadTarget[] {
  return items.flatMap((item) => compileItem(item, section, context));
}

function compileItem(
  item: CompilableItem,
  section: Section,
  context: ItemContext,
): readonly ReadTarget[] {
  const decoder = decoderOf(item, context);
  const { first, last, isRange } = addressRange(item.address);
  const step = isRange ? Math.max(item.objectsCount, decoder.length) : 1;
  const targets: ReadTarget[] = [];
  for (let address = first; address <= last; address += step) {
    targets.push({
      device: context.device,
      section,
      key: isRange ? rangeKey(item, address, context.unitId) : item.tag,
      functionCode: item.functionCode,
      decoder,
      first: address,
      length: decoder.length,
      divisible: decoder.divisible,
      ...(isRange && item.maxRegistersPerRequest !== undefined
        ? { maxLength: item.maxRegistersPerRequest }
        : undefined),
    });
  }
  return targets;
}

function decoderOf(item: CompilableItem, { decoders, orders }: ItemContext): Decoder {
  const { functionCode, type, objectsCount, divider, multiplier, round } = item;
  const { bit, registerBit, bitTargetType, bitOrder, variants, trimNulls } = item;
  const settings = {
    functionCode,
    type,
    objectsCount,
    divider,
    multiplier,
    round,
    bit,
    registerBit,
    bitTargetType,
    bitOrder,
    variants,
    trimNulls,
  };
  const key = JSON.stringify([settings, orders], (_, value: Json) =>
    typeof value === "bigint" ? `${value}n` : value,
  );
  let decoder = decoders.get(key);
  if (decoder === undefined) {
    decoder = createDecoder(settings, orders);
    decoders.set(key, decoder);
  }
  return decoder;
}

/** The key of one place of a range; `_${address}` is added to a template without `${address}`. */
function rangeKey(item: CompilableItem, address: number, unitId: number): string {
  const template = item.tag.includes("${address}") ? item.tag : `${item.tag}_\${address}`;
  return template
    .replaceAll("${address}", String(address))
    .replaceAll("${unitId}", String(unitId))
    .replaceAll("${functionCode}", String(item.functionCode))
    .replaceAll("${type}", item.type)
    .replaceAll("${objectsCount}", String(item.objectsCount));
}
