import type { ConnectorHost, Metrics } from "#sdk/connector";
import type { ConverterContext, DownlinkConverter, UplinkConverter } from "#sdk/converter";
import { ConfigError, DataError, errorText, RpcError } from "#sdk/errors";
import { decodePayload } from "#sdk/json-reader";
import type { Logger } from "#sdk/logger";
import { type DeviceData, epochMs } from "#sdk/model";
import { recordProblem } from "#sdk/record-shape";
import type { StandardSchema } from "#sdk/standard-schema";
import type { DefinitionOf } from "../extension/definitions.ts";
import type { ConverterLookups } from "../extension/uses.ts";
import { absentConverterText } from "./converter-names.ts";
import type { ConverterWatch } from "./converter-watch.ts";
import {
  type DownlinkDefinition,
  downlinkConverters,
  type UplinkDefinition,
  uplinkConverters,
} from "./registry.ts";

/** The converters of one type of connector, by name. */
export type UplinkTable = Readonly<
  Record<string, () => Promise<{ readonly default: UplinkDefinition }>>
>;
/** The same for what goes down. */
export type DownlinkTable = Readonly<
  Record<string, () => Promise<{ readonly default: DownlinkDefinition }>>
>;

/** Whom the converters are for, and where they report. */
export interface ConverterOptions {
  readonly connector: ConverterContext["connector"];
  readonly log: Logger;
  /** For what bad input can cause again and again. */
  readonly rareLog: Logger;
  readonly metrics: Metrics;
  /** Looks at the time each call takes. Default: nobody does. */
  readonly watch?: Pick<ConverterWatch, "run"> | undefined;
  /** Default: the ones inside the program. */
  readonly uplinks?: UplinkTable;
  readonly downlinks?: DownlinkTable;
  /** Those of extensions. Default: none. */
  readonly extensions?: ConverterLookups | undefined;
}

const UNWATCHED: Pick<ConverterWatch, "run"> = { run: (_converter, work) => work() };

/** Longest part of an input in the log. */
const SAMPLE_BYTES = 1024;

/** What `host.converters` is: finds a converter by name, checks its configuration, and keeps its failures from the connector. */
export function createConverters(options: ConverterOptions): ConnectorHost["converters"] {
  const { connector } = options;
  const uplinks = options.uplinks ?? uplinkConverters[connector.type] ?? {};
  const downlinks = options.downlinks ?? downlinkConverters[connector.type] ?? {};
  return {
    uplink: async (name, config) => {
      const definition = await findDefinition("uplink", name, uplinks, options);
      return createUplink(definition, config, options);
    },
    downlink: async (name, config) => {
      const definition = await findDefinition("downlink", name, downlinks, options);
      return createDownlink(definition, config, options);
    },
  };
}

/** The definition of a name: an extension's, or the one inside the program. @throws ConfigError */
async function findDefinition<K extends "uplink" | "downlink">(
  kind: K,
  name: string,
  builtins: Readonly<Record<string, () => Promise<{ readonly default: DefinitionOf[K] }>>>,
  { connector, extensions }: ConverterOptions,
): Promise<DefinitionOf[K]> {
  const load = Object.hasOwn(builtins, name) ? builtins[name] : undefined;
  const found = await extensions?.find(kind, name, load !== undefined);
  if (found !== undefined) {
    return found.definition;
  }
  if (load === undefined) {
    const known = [...Object.keys(builtins), ...(extensions?.known(kind) ?? [])];
    const message = absentConverterText({ kind, type: connector.type, name }, known);
    throw new ConfigError(connector.name, [{ path: "converter", message }]);
  }
  return (await load()).default;
}

function createUplink<Raw>(
  definition: UplinkDefinition,
  config: unknown,
  options: ConverterOptions,
): UplinkConverter<Raw> {
  const convert = create(definition, config, options);
  const { watch = UNWATCHED } = options;
  return (raw) => {
    const call = new Call(definition.name, options);
    try {
      const input = definition.input === "decoded" ? decoded(raw) : raw;
      // A converter of a type takes what connectors of that type hand on; the two meet by name.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
      const work = (): unknown => convert(input as never, (error) => call.onBadPoint(error));
      const result = watch.run(definition.name, work);
      if (result instanceof Promise) {
        // Nobody waits for it, and its failure must not end the process.
        result.catch(() => undefined);
        throw new DataError("A converter must not be asynchronous");
      }
      return call.finish(result, raw);
    } catch (error) {
      return call.failed(error, raw);
    }
  };
}

/**
 * What a downlink converter gives goes on the wire; what it throws is the answer to the call, or the reason why an attribute
 * is not sent.
 */
function createDownlink<Entry>(
  definition: DownlinkDefinition,
  config: unknown,
  options: ConverterOptions,
): DownlinkConverter<Entry> {
  const convert = create(definition, config, options);
  const { watch = UNWATCHED, rareLog } = options;
  return (request) => {
    // A converter takes the entries of connectors of its type; the two meet by name.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
    const work = (): unknown => convert(request as never);
    const result = calledFor(
      request.source,
      () => watch.run(definition.name, work),
      (error) => rareLog.warn("Converter failed", { converter: definition.name, error }),
    );
    if (result === null || typeof result === "string" || result instanceof Uint8Array) {
      return result;
    }
    if (result instanceof Promise) {
      // Nobody waits for it, and its failure must not end the process.
      result.catch(() => undefined);
      throw new DataError(`${definition.name}: a converter must not be asynchronous`);
    }
    throw new DataError(
      `${definition.name}: it must return bytes, a text or null, not ${describe(result)}`,
    );
  };
}

/** What fails becomes a DataError with its message; only to a call can a converter give the answer itself. */
function calledFor(
  source: "rpc" | "attribute",
  convert: () => unknown,
  onError: (error: unknown) => void,
): unknown {
  try {
    return convert();
  } catch (error) {
    if (error instanceof DataError || (error instanceof RpcError && source === "rpc")) {
      throw error;
    }
    onError(error);
    throw new DataError(errorText(error));
  }
}

function describe(value: unknown): string {
  return value === undefined ? "nothing" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

/** Checks the configuration of a converter and creates it. @throws ConfigError */
function create<Convert>(
  definition: {
    readonly name: string;
    readonly schema: StandardSchema;
    create(config: unknown, context: ConverterContext): Convert;
  },
  config: unknown,
  { connector, log }: ConverterOptions,
): Convert {
  const checked = checkConfig(definition, config, connector.name);
  try {
    return definition.create(checked, { log, connector });
  } catch (error) {
    throw new ConfigError(connector.name, [
      { path: "converter", message: `${definition.name}: ${errorText(error)}` },
    ]);
  }
}

/** One call of a converter: what it gave, what it left out, and the account of both. */
class Call {
  readonly #name: string;
  readonly #options: ConverterOptions;
  #isCounted = false;

  constructor(name: string, options: ConverterOptions) {
    this.#name = name;
    this.#options = options;
  }

  onBadPoint(error: unknown): void {
    const { metrics, rareLog } = this.#options;
    this.#isCounted = true;
    metrics.rejected(error instanceof DataError ? error.reason : "converter-error");
    rareLog.warn("Value cannot be converted", { converter: this.#name, error });
  }

  finish(result: unknown, raw: unknown): readonly DeviceData[] {
    const list: readonly unknown[] = Array.isArray(result) ? result : [result];
    const records: DeviceData[] = [];
    for (const one of list) {
      if (one === null || one === undefined) {
        continue;
      }
      const problem = recordProblem(one);
      if (problem === undefined && isEmpty(one)) {
        continue;
      }
      if (problem === undefined) {
        // `recordProblem` has looked at each member that the core reads.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
        records.push(withArrival(one as DeviceData, raw));
      } else {
        this.failed(new DataError(`The record is invalid: ${problem}`), raw);
      }
    }
    if (records.length === 0 && !this.#isCounted) {
      this.#options.metrics.rejected("no-value");
    }
    return records;
  }

  failed(error: unknown, raw: unknown): readonly DeviceData[] {
    const { log, metrics, rareLog } = this.#options;
    this.#isCounted = true;
    metrics.rejected("converter-error");
    rareLog.warn("Converter failed", { converter: this.#name, error });
    log.debug("Converter failed on this input", { converter: this.#name, input: sampleOf(raw) });
    return [];
  }
}

function checkConfig(
  definition: { readonly name: string; readonly schema: StandardSchema },
  config: unknown,
  file: string,
): unknown {
  const { schema } = definition;
  const result = schema["~standard"].validate(config);
  if (result instanceof Promise) {
    throw new ConfigError(file, [
      { path: "converter", message: `${definition.name}: its schema must not be asynchronous` },
    ]);
  }
  if (result.issues !== undefined) {
    throw new ConfigError(
      file,
      result.issues.map(({ message, path = [] }) => ({
        path: path.map((part) => String(typeof part === "object" ? part.key : part)).join("."),
        message: `${definition.name}: ${message}`,
      })),
    );
  }
  return result.value;
}

/** The payload as its JSON value or text, for converters that want it so. */
function decoded(raw: unknown): unknown {
  if (typeof raw === "object" && raw !== null && "payload" in raw) {
    const { payload } = raw;
    return payload instanceof Uint8Array ? { ...raw, payload: decodePayload(payload) } : raw;
  }
  return raw;
}

/** A record without any value: the device had nothing to say. */
function isEmpty(record: unknown): boolean {
  if (typeof record !== "object" || record === null) {
    return false;
  }
  const telemetry: unknown = Reflect.get(record, "telemetry") ?? [];
  const attributes: unknown = Reflect.get(record, "attributes") ?? {};
  const entries: readonly unknown[] = Array.isArray(telemetry) ? telemetry : [telemetry];
  return (
    typeof attributes === "object" &&
    Object.keys(attributes ?? {}).length === 0 &&
    entries.every((entry) => isObject(entry) && isEmptyObject(Reflect.get(entry, "values")))
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

/** What has no time of its own has that of the arrival of the input, not that of the conversion. */
function withArrival(record: DeviceData, raw: unknown): DeviceData {
  const receivedTs: unknown = isObject(raw) ? Reflect.get(raw, "receivedTs") : undefined;
  if (record.receivedTs !== undefined || typeof receivedTs !== "number") {
    return record;
  }
  return { ...record, receivedTs: epochMs(receivedTs) };
}

function sampleOf(raw: unknown): string {
  const payload: unknown = isObject(raw) ? Reflect.get(raw, "payload") : undefined;
  const bytes =
    payload instanceof Uint8Array ? payload : Buffer.from(JSON.stringify(raw) ?? String(raw));
  return Buffer.from(bytes.subarray(0, SAMPLE_BYTES)).toString("base64");
}
