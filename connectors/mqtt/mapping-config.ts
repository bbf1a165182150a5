import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { reportStrategy } from "#sdk/report-strategy";
import { qosLevel } from "./broker-config.ts";
import { calculationProblem, expressionProblem, patternProblem } from "./problems.ts";
import { filterProblem } from "./topics.ts";

/** Text that is checked by a function which says what is wrong with it. */
function checkedText(problemOf: (text: string) => string | undefined) {
  return v.pipe(
    v.string(),
    v.rawCheck(({ dataset, addIssue }) => {
      const problem = dataset.typed ? problemOf(dataset.value) : undefined;
      if (problem !== undefined) {
        addIssue({ message: problem });
      }
    }),
  );
}

/** A topic filter. */
export const topicFilter = checkedText(filterProblem);

/** A text with `${…}` tags. */
export const expressionText = checkedText(expressionProblem);

/** A regular expression in Python's syntax. */
export const patternText = checkedText(patternProblem);

/** An expression that may be written without quotes when it is a number, true or false. */
const constantOrExpression = v.pipe(
  v.union([v.string(), v.number(), v.boolean()]),
  v.transform(String),
  v.rawCheck(({ dataset, addIssue }) => {
    const problem = dataset.typed ? expressionProblem(dataset.value) : undefined;
    if (problem !== undefined) {
      addIssue({ message: problem });
    }
  }),
);

/** Where a name comes from. */
const nameSource = v.picklist(["message", "topic", "constant"]);

const expressionSource = {
  deviceNameExpression: "deviceNameExpressionSource",
  deviceProfileExpression: "deviceProfileExpressionSource",
} as const;

interface DeviceInfoTexts {
  readonly deviceNameExpression?: string | undefined;
  readonly deviceNameExpressionSource?: "message" | "topic" | "constant" | undefined;
  readonly deviceProfileExpression?: string | undefined;
  readonly deviceProfileExpressionSource?: "message" | "topic" | "constant" | undefined;
}

/** Says what is wrong with the expressions of a `deviceInfo`, each at its own path. */
function checkDeviceInfo<T extends DeviceInfoTexts>() {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    if (!dataset.typed) {
      return;
    }
    const info = dataset.value;
    for (const key of ["deviceNameExpression", "deviceProfileExpression"] as const) {
      const text = info[key];
      const isPattern = info[expressionSource[key]] === "topic";
      const problem =
        text === undefined ? undefined : (isPattern ? patternProblem : expressionProblem)(text);
      if (problem !== undefined) {
        addIssue({ message: problem, path: [pathTo(info, key)] });
      }
    }
  });
}

function pathTo(input: object, key: string): v.ObjectPathItem {
  return { type: "object", origin: "value", input: { ...input }, key, value: undefined };
}

const profileFields = {
  deviceProfileExpressionSource: optional(nameSource, {
    doc: "Where the device profile comes from. Default: the profile is `default`.",
  }),
  deviceProfileExpression: optional(v.string(), {
    doc: "Expression, pattern or text for the device profile. Used when the platform creates the device.",
  }),
};

/** `deviceInfo` of a json mapping. */
export const deviceInfo = v.pipe(
  v.looseObject({
    deviceNameExpressionSource: required(nameSource, {
      doc: "Where the device name comes from: an expression over the `message`, a pattern searched in the `topic` (its last group that matched, else the whole match), or a `constant` text.",
    }),
    deviceNameExpression: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
      doc: "Expression, pattern or text for the device name.",
      examples: ["${serialNumber}", "sensor/([^/]+)/data"],
    }),
    ...profileFields,
  }),
  checkDeviceInfo(),
);

/** `deviceInfo` of requests and of converters that read bytes: every key may be missing. */
export const looseDeviceInfo = v.pipe(
  v.looseObject({
    deviceNameExpressionSource: optional(nameSource, { doc: "Where the device name comes from." }),
    deviceNameExpression: optional(v.string(), {
      doc: "Expression, pattern, slices or text for the device name.",
    }),
    ...profileFields,
  }),
  checkDeviceInfo(),
);

const keySource = field(v.picklist(["message", "topic"]), "message", {
  doc: "`topic`: `key` is a pattern searched in the topic; its last group that matched, else the whole match, is the key.",
});

const strategyField = optional(reportStrategy, { doc: "When this key goes up." });

/** Checks `key` by its source and `value` by the use of `useEval` elsewhere. */
function checkKey<T extends { readonly key: string; readonly keySource: "message" | "topic" }>() {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    if (dataset.typed) {
      const { key, keySource: source } = dataset.value;
      const problem = source === "topic" ? patternProblem(key) : expressionProblem(key);
      if (problem !== undefined) {
        addIssue({ message: problem, path: [pathTo(dataset.value, "key")] });
      }
    }
  });
}

const pointFields = {
  type: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
    doc: "`string`, `integer` (`int`, `long`), `double` (`float`), `boolean`, `json` (the value as it is); anything else is text.",
  }),
  key: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
    doc: "Name on the platform: text, expression, or pattern.",
  }),
  value: required(constantOrExpression, {
    doc: "Expression for the value.",
    examples: ["${temp}"],
  }),
  keySource,
  reportStrategy: strategyField,
};

const attributePoint = v.pipe(v.looseObject(pointFields), checkKey());

const timeseriesPoint = v.pipe(
  v.looseObject({
    ...pointFields,
    tsField: optional(expressionText, {
      doc: "Where the message holds the time: epoch milliseconds or seconds, or a date as text.",
    }),
    dayfirst: field(v.boolean(), false, { doc: "`01/02/2024` is the first of February." }),
    yearfirst: field(v.boolean(), false, { doc: "`10.11.24` is in 2010." }),
  }),
  checkKey(),
);

const everything = v.literal("*");

/** `"*"`, or a list in which `"*"` may stand. */
function pointList<const S extends v.GenericSchema>(point: S) {
  return v.pipe(
    v.union([everything, entries(v.union([everything, point]))]),
    v.transform((list) => (list === "*" ? [list] : list)),
  );
}

const olderKeys = {
  sendDataOnlyOnChange: optional(v.unknown(), {
    doc: 'Older switch: `true` stands for `reportStrategy: {"type": "ON_CHANGE"}`.',
  }),
  timeout: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
  cached: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
  filterExpression: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
};

/** `converter` of type `json`. */
const jsonConverter = v.pipe(
  v.looseObject({
    type: required(v.literal("json"), { doc: "The payload is JSON." }),
    deviceInfo: required(deviceInfo, { doc: "Which device the message is from." }),
    attributes: field(pointList(attributePoint), [], {
      doc: 'Client-side attributes; `"*"` is every member of the message.',
    }),
    timeseries: field(pointList(timeseriesPoint), [], {
      doc: 'Telemetry; `"*"` is every member of the message.',
    }),
    useEval: field(v.boolean(), false, {
      doc: "Calculate values: `+ - * / // % **`, comparisons, `round abs min max int float` over the tags.",
    }),
    useReceivedTs: field(v.boolean(), false, {
      doc: "Stamp all values with the time of arrival, whatever the message says.",
    }),
    reportStrategy: optional(reportStrategy, { doc: "When the values of the device go up." }),
    ...olderKeys,
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || !dataset.value.useEval) {
      return;
    }
    for (const list of ["attributes", "timeseries"] as const) {
      for (const [index, point] of dataset.value[list].entries()) {
        const problem = typeof point === "string" ? undefined : evalProblem(point);
        if (problem !== undefined) {
          const points = dataset.value[list];
          addIssue({
            message: problem,
            path: [
              pathTo(dataset.value, list),
              { type: "array", origin: "value", input: points, key: index, value: point },
              pathTo({}, "value"),
            ],
          });
        }
      }
    }
  }),
);

/** What is wrong with a value under `useEval`; text types are not calculated. */
function evalProblem(point: { readonly type: string; readonly value: string }) {
  return point.type.toLowerCase().includes("str") ? undefined : calculationProblem(point.value);
}

const bytesPoint = v.pipe(
  v.looseObject({
    type: field(v.string(), "raw", {
      doc: "`raw` and `string` are text; `integer`, `double`, `boolean` read the text; `int8` to `uint64`, `float32`, `float64` read the bytes.",
    }),
    key: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
      doc: "Name on the platform: text with slices such as `[0:4]`, or a pattern.",
    }),
    value: required(v.string(), { doc: "Text with slices of the payload.", examples: ["[4:]"] }),
    hexMode: field(v.boolean(), false, { doc: "Slices of key and value become hexadecimal." }),
    keySource,
    byteOrder: field(v.pipe(v.string(), v.toUpperCase(), v.picklist(["BIG", "LITTLE"])), "BIG", {
      doc: "Byte order of the binary types.",
    }),
    multiplier: optional(v.number(), { doc: "The number is multiplied by it." }),
    divider: optional(v.pipe(v.number(), v.notValue(0, "must not be 0")), {
      doc: "The number is divided by it.",
    }),
    reportStrategy: strategyField,
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (dataset.typed && dataset.value.keySource === "topic") {
      const problem = patternProblem(dataset.value.key);
      if (problem !== undefined) {
        addIssue({ message: problem, path: [pathTo(dataset.value, "key")] });
      }
    }
  }),
);

/** `converter` of type `bytes`. */
const bytesConverter = v.looseObject({
  type: required(v.literal("bytes"), { doc: "The payload is read by byte positions." }),
  deviceInfo: required(looseDeviceInfo, { doc: "Which device the message is from." }),
  attributes: field(entries(bytesPoint), [], { doc: "Client-side attributes." }),
  timeseries: field(entries(bytesPoint), [], { doc: "Telemetry." }),
  reportStrategy: optional(reportStrategy, { doc: "When the values of the device go up." }),
  ...olderKeys,
});

/** `converter` of type `custom`: an extension. */
const customConverter = v.looseObject({
  type: required(v.literal("custom"), { doc: "The payload is converted by an extension." }),
  extension: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
    doc: "Name of the extension.",
    converter: { kind: "uplink" },
  }),
  extensionConfig: optional(v.unknown(), { doc: "Configuration of the extension." }),
  sharedGlobal: field(v.boolean(), false, {
    doc: "One instance for all mappings with this extension.",
  }),
  sharedId: optional(v.string(), { doc: "One instance for all mappings with this id." }),
  deviceInfo: optional(v.unknown(), { doc: "Handed to the extension.", ignored: true }),
  attributes: optional(v.unknown(), { doc: "Handed to the extension.", ignored: true }),
  timeseries: optional(v.unknown(), { doc: "Handed to the extension.", ignored: true }),
  ...olderKeys,
});

/** One element of `mapping`. */
export const mapping = v.looseObject({
  topicFilter: required(topicFilter, {
    doc: "Topics this mapping reads: `+` is one level, `#` all further ones, `$share/<group>/<filter>` shares them with others.",
    examples: ["sensor/+/data"],
  }),
  subscriptionQos: field(qosLevel, 1, { doc: "Highest QoS of delivery." }),
  converter: required(v.variant("type", [jsonConverter, bytesConverter, customConverter]), {
    doc: "What to make of a message.",
  }),
  reportStrategy: optional(reportStrategy, { doc: "When the values of the device go up." }),
});

/** A mapping as `create` gets it. */
export type Mapping = v.InferOutput<typeof mapping>;
/** A converter of type `json`. */
export type JsonConverterConfig = v.InferOutput<typeof jsonConverter>;
/** A converter of type `bytes`. */
export type BytesConverterConfig = v.InferOutput<typeof bytesConverter>;
/** Where the names of a device come from. */
export type DeviceInfoConfig = v.InferOutput<typeof looseDeviceInfo>;
