import { readFile } from "node:fs/promises";
import { DataError } from "#sdk/errors";
import { readJson } from "#sdk/json-reader";
import { type EpochMs, isJsonObject, type Json } from "#sdk/model";
import type { TestTask } from "./author-port.ts";

/**
 * What an uplink converter of a connector of `type` would be given. A file that ends in `.hex` holds hexadecimal digits; for Modbus
 * and OPC UA it is the read as JSON; any other is the payload as it is. @throws DataError, and Error when it cannot be read
 */
export async function rawOf(
  type: string,
  { input = "", topic = "test", device = "Device" }: TestTask,
  receivedTs: EpochMs,
): Promise<unknown> {
  const content = await readFile(input);
  if (type === "modbus" || type === "opcua") {
    return readOf(content.toString("utf8"), input, { deviceName: device, receivedTs });
  }
  const payload = input.endsWith(".hex") ? fromHex(content.toString("utf8"), input) : content;
  if (type === "mqtt") {
    return { payload, topic, qos: 1, retain: false, receivedTs };
  }
  const message = { payload, deviceName: device, address: "test", receivedTs };
  return type === "ble" ? { ...message, key: "value", section: "telemetry" } : message;
}

function fromHex(text: string, file: string): Uint8Array {
  const digits = text.replaceAll(/0x|[\s:,]/gi, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) {
    throw new DataError(`${file} must hold hexadecimal digits, two a byte`);
  }
  return new Uint8Array(Buffer.from(digits, "hex"));
}

/** A read of one device: what the file leaves out has a usual value, registers become what the connector hands on. */
function readOf(
  text: string,
  file: string,
  usual: { readonly deviceName: string; readonly receivedTs: EpochMs },
): unknown {
  const json = readJson(text.trim());
  if (!isJsonObject(json) || !Array.isArray(json["items"])) {
    throw new DataError(`${file} must hold { "items": [ … ] } in JSON`);
  }
  const items: readonly Json[] = json["items"];
  const common = { unitId: 1, byteOrder: "BIG", wordOrder: "BIG", ...usual };
  return { ...common, ...json, items: items.map(itemOf) };
}

function itemOf(item: Json): unknown {
  const registers = isJsonObject(item) ? item["registers"] : undefined;
  return isJsonObject(item) && Array.isArray(registers)
    ? { section: "telemetry", ...item, registers: Uint16Array.from(registers, Number) }
    : item;
}
