import type { ConnectorHost } from "#sdk/connector";
import { DataError, errorText, RejectedError, RpcError, TransientError } from "#sdk/errors";
import type { Json, RpcRequest } from "#sdk/model";
import { normalUuid } from "./addresses.ts";
import type { DeviceConfig } from "./device-config.ts";
import { encodeValue, readPairs, readReply } from "./downlink.ts";
import type { Characteristic } from "./gatt-client.ts";
import { gattMap } from "./gatt-map.ts";
import type { RpcItem } from "./item-config.ts";
import type { PeripheralLink } from "./link.ts";
import { readHandle } from "./target.ts";

/** What a method works on. */
export interface RpcTarget {
  readonly config: DeviceConfig;
  /** `undefined`: the peripheral is not connected. */
  readonly link: PeripheralLink | undefined;
  readonly host: Pick<ConnectorHost, "log" | "metrics">;
}

/** Carries out a method of a device: one of `serverSideRpc`, or `get` and `set`. @throws RpcError with the reason */
export async function callMethod(
  request: RpcRequest,
  target: RpcTarget,
  signal: AbortSignal,
): Promise<Json | void> {
  try {
    return await call(request, target, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (
      error instanceof RejectedError ||
      error instanceof TransientError ||
      error instanceof DataError
    ) {
      throw new RpcError(errorText(error));
    }
    throw error;
  }
}

async function call(
  request: RpcRequest,
  target: RpcTarget,
  signal: AbortSignal,
): Promise<Json | void> {
  const { method, params } = request;
  if (method === "get" || method === "set") {
    return await callReserved(method, params, target, signal);
  }
  const item = target.config.serverSideRpc.find(({ methodRPC }) => methodRPC === method);
  if (item === undefined) {
    throw new RpcError("RPC method not found");
  }
  const result = await callItem(item, params, target, signal);
  return item.withResponse ? result : undefined;
}

async function callItem(
  item: RpcItem,
  params: Json,
  target: RpcTarget,
  signal: AbortSignal,
): Promise<Json> {
  const link = linkOf(target);
  if (item.methodProcessing === "scan") {
    const map = await gattMap(target.config.name, link, signal);
    if (!item.withResponse) {
      target.host.log.info("GATT map of the peripheral", { device: target.config.name, map });
    }
    return map;
  }
  const characteristic = link.find(item);
  return item.methodProcessing === "read"
    ? await read(link, characteristic, signal)
    : await write(
        link,
        { characteristic, bytes: encodeValue(params, item.encoding), target },
        signal,
      );
}

async function callReserved(
  method: "get" | "set",
  params: Json,
  target: RpcTarget,
  signal: AbortSignal,
): Promise<Json> {
  const pairs = readPairs(params);
  const characteristicUUID = normalUuid(pairs.get("characteristicUUID") ?? "");
  const handle = readHandle(pairs.get("handle") ?? "");
  if (characteristicUUID === undefined && handle === undefined) {
    throw new RpcError(`"${method}" needs params like characteristicUUID=2a00; or handle=0x002a;`);
  }
  const link = linkOf(target);
  const characteristic = link.find({ characteristicUUID, handle });
  if (method === "get") {
    return await read(link, characteristic, signal);
  }
  const value = pairs.get("value");
  if (value === undefined) {
    throw new RpcError('"set" needs params like characteristicUUID=2a00;value=text;');
  }
  return await write(link, { characteristic, bytes: encodeValue(value, "utf8"), target }, signal);
}

function linkOf({ link, config }: RpcTarget): PeripheralLink {
  if (link === undefined) {
    throw new RpcError(`The peripheral of "${config.name}" is not connected`);
  }
  return link;
}

async function read(
  link: PeripheralLink,
  characteristic: Characteristic,
  signal: AbortSignal,
): Promise<Json> {
  const bytes = await link.read(characteristic, signal, true);
  if (bytes.length === 0) {
    throw new RpcError("The characteristic is empty");
  }
  return readReply(bytes);
}

async function write(
  link: PeripheralLink,
  job: {
    readonly characteristic: Characteristic;
    readonly bytes: Uint8Array;
    readonly target: RpcTarget;
  },
  signal: AbortSignal,
): Promise<Json> {
  const { metrics } = job.target.host;
  try {
    await link.write(job.characteristic, job.bytes, signal);
    metrics.count("writes");
  } catch (error) {
    metrics.count("writeErrors");
    throw error;
  }
  return "Ok";
}
