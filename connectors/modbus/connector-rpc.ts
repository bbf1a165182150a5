import * as v from "valibot";
import type { ConnectorHost } from "#sdk/connector";
import { DataError, errorText } from "#sdk/errors";
import { isJsonObject, type Json, type RpcRequest } from "#sdk/model";
import { Bus } from "./bus.ts";
import { answerText, CommandedDevice } from "./device.ts";
import { type CommandItem, parseConnectorCommand } from "./downlink.ts";
import { lineKey, lineOf } from "./line.ts";
import { type Master, talkOf } from "./master.ts";
import { type SlaveConfig, slave } from "./slave-config.ts";
import { Unit } from "./unit.ts";

/** A method for the connector: one request to every device, or to the one that its parameters describe. */
export async function connectorRpc(
  request: RpcRequest,
  context: { readonly master: Master; readonly host: ConnectorHost },
  signal: AbortSignal,
): Promise<Json> {
  const { params, timeoutMs } = request;
  let command: { readonly item: CommandItem; readonly value: Json };
  try {
    command = parseConnectorCommand(params);
  } catch (error) {
    if (error instanceof DataError) {
      return { error: error.message, success: false };
    }
    throw error;
  }
  if (isJsonObject(params) && ["host", "port", "unitId"].some((key) => params[key] !== undefined)) {
    return [await onDescribed(params, command, { ...context, timeoutMs }, signal)];
  }
  const devices = [...context.master.devices.values()];
  // Devices of one line wait for each other there; lines do not.
  return await Promise.all(devices.map((device) => onDevice(device, command, timeoutMs, signal)));
}

interface Command {
  readonly item: CommandItem;
  readonly value: Json;
}

async function onDevice(
  device: CommandedDevice,
  { item, value }: Command,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Json> {
  const { deviceName } = device.config;
  try {
    const result = await device.execute(item, value, { timeoutMs }, signal);
    return { result, device_name: deviceName };
  } catch (error) {
    signal.throwIfAborted();
    return { error: answerText(error), device_name: deviceName };
  }
}

/** A device that is in no file, for the length of one request. A line that is in use already is shared. */
async function onDescribed(
  params: { readonly [key: string]: Json },
  command: Command,
  context: { readonly master: Master; readonly host: ConnectorHost; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<Json> {
  const { master, timeoutMs } = context;
  const described = v.safeParse(slave, describedSlave(params, timeoutMs));
  if (!described.success) {
    return { error: described.issues.map(({ message }) => message).join("; "), success: false };
  }
  const config = described.output;
  const host = quietHost(context.host);
  const stop = new AbortController();
  const known = master.buses.get(lineKey(lineOf(config)));
  const bus = known ?? temporaryBus(config, host, stop);
  const talk = { ...talkOf(config), retries: 0 };
  const unit = new Unit({ id: config.unitId, bus, host, talk });
  const device = new CommandedDevice({ config, unit, talk, host, convert: undefined });
  const until = AbortSignal.any([signal, stop.signal]);
  const running = known === undefined ? bus.run(until).catch(() => undefined) : undefined;
  try {
    const deadline = host.clock.deadline(timeoutMs, until);
    await bus.changes.until(() => bus.isConnected, deadline).catch(() => undefined);
    return bus.isConnected
      ? await onDevice(device, command, timeoutMs, signal)
      : { error: `Failed to connect to device ${config.deviceName}`, success: false };
  } catch (error) {
    signal.throwIfAborted();
    return { error: errorText(error), success: false };
  } finally {
    stop.abort(new Error("done"));
    await running;
  }
}

/** The parameters as a device of the file would say it: `type` is that of the value there, and of the connection here. */
function describedSlave(params: { readonly [key: string]: Json }, timeoutMs: number): Json {
  const { port = 502, connectionType, deviceName = "temporary", unitId = 1, timeout } = params;
  const isPath = typeof port === "string" && !/^\d+$/.test(port);
  const mostS = timeoutMs / 1000;
  return {
    ...params,
    deviceName,
    type: connectionType ?? (isPath ? "serial" : "tcp"),
    port,
    unitId,
    timeout: Math.min(typeof timeout === "number" ? timeout : mostS, mostS),
    attributes: [],
    timeseries: [],
    attributeUpdates: [],
    rpc: [],
  };
}

/** A line for one request; it stops at the first failure. */
function temporaryBus(config: SlaveConfig, host: ConnectorHost, stop: AbortController): Bus {
  const timeoutMs = 1000 * config.timeout;
  return new Bus({
    line: lineOf(config),
    host,
    connectTimeoutMs: timeoutMs,
    retry: { firstMs: timeoutMs, ceilingMs: timeoutMs },
    maxInFlight: 1,
    onConnected: () => undefined,
    onFailedAttempt: () => stop.abort(new Error("Failed to connect")),
  });
}

/** A temporary device is not announced to the platform, and its line is nothing to report. */
function quietHost(host: ConnectorHost): ConnectorHost {
  const nothing = (): void => undefined;
  const log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
  return {
    ...host,
    clock: host.clock,
    get dataDir() {
      return host.dataDir;
    },
    log,
    devices: {
      ...host.devices,
      connect: async () => await Promise.resolve(),
      disconnect: async () => await Promise.resolve(),
    },
  };
}
