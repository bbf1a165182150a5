import * as v from "valibot";
import { entries, field, optional, required } from "#sdk/config";
import { qosLevel, wholeNumber } from "./broker-config.ts";
import { expressionText, looseDeviceInfo, patternText, topicFilter } from "./mapping-config.ts";
import { literalNames } from "./problems.ts";

const subscription = {
  topicFilter: required(topicFilter, { doc: "Topics the requests arrive on." }),
  subscriptionQos: field(qosLevel, 1, { doc: "Highest QoS of delivery." }),
};

const info = optional(looseDeviceInfo, { doc: "Which device it is about." });

const publication = {
  retain: field(v.boolean(), false, { doc: "The broker keeps the message." }),
  qos: field(qosLevel, 0, { doc: "QoS of the message." }),
};

const topicExpression = required(v.pipe(expressionText, v.nonEmpty("must not be empty")), {
  doc: "Topic of the message, with tags such as `${deviceName}` and `${attributeKey}`.",
});

const valueExpression = required(v.pipe(expressionText, v.nonEmpty("must not be empty")), {
  doc: "Payload of the message, with tags such as `${attributeKey}` and `${attributeValue}`.",
});

/** `converter` of an entry: an extension makes the payload. */
const downlinkConverter = optional(
  v.looseObject({
    type: field(v.literal("custom"), "custom", { doc: "The payload is made by an extension." }),
    extension: required(v.pipe(v.string(), v.nonEmpty("must not be empty")), {
      doc: "Name of the extension.",
      converter: { kind: "downlink" },
    }),
    extensionConfig: optional(v.unknown(), { doc: "Configuration of the extension." }),
  }),
  { doc: "Extension that makes the payload in place of `valueExpression`." },
);

/** The payload has to come from somewhere. */
function checkPayload<
  Entry extends { valueExpression?: string | undefined; converter?: unknown },
>() {
  return v.rawCheck<Entry>(({ dataset, addIssue }) => {
    if (dataset.typed && dataset.value.valueExpression === undefined) {
      if (dataset.value.converter === undefined) {
        addIssue({ message: 'needs "valueExpression" or "converter"' });
      }
    }
  });
}

const connectRequest = v.looseObject({ ...subscription, deviceInfo: info });

const attributeRequest = v.looseObject({
  ...subscription,
  deviceInfo: info,
  attributeNameExpressionSource: optional(v.picklist(["message", "topic", "constant"]), {
    doc: "Where the names of the attributes come from.",
  }),
  attributeNameExpression: optional(v.string(), {
    doc: "Names of the attributes: one or more tags, or a pattern.",
  }),
  scope: field(v.string(), "shared", {
    doc: "`shared`, `client`, or a tag that gives one of them.",
  }),
  topicExpression,
  valueExpression,
  ...publication,
});

const attributeUpdateFields = v.looseObject({
  deviceNameFilter: required(patternText, { doc: "Pattern for the device name, from its start." }),
  attributeFilter: required(patternText, { doc: "Pattern for the attribute, from its start." }),
  topicExpression,
  valueExpression: optional(v.pipe(expressionText, v.nonEmpty("must not be empty")), {
    doc: "Payload of the message, with tags such as `${attributeKey}` and `${attributeValue}`. Required without `converter`.",
  }),
  converter: downlinkConverter,
  syncOnConnect: field(v.boolean(), false, {
    doc: "Ask for the attribute when the device connects; `attributeFilter` must be its literal name, or several with `|` between.",
  }),
  ...publication,
});

const attributeUpdate = v.pipe(
  attributeUpdateFields,
  checkPayload(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (dataset.typed && dataset.value.syncOnConnect) {
      const { attributeFilter } = dataset.value;
      if (literalNames(attributeFilter) === undefined) {
        addIssue({
          message: `with syncOnConnect it must be the name of an attribute, not the pattern "${attributeFilter}"`,
          path: [
            {
              type: "object",
              origin: "value",
              input: { ...dataset.value },
              key: "attributeFilter",
              value: attributeFilter,
            },
          ],
        });
      }
    }
  }),
);

const serverSideRpcFields = v.looseObject({
  type: optional(v.unknown(), { doc: "Without effect.", ignored: true }),
  deviceNameFilter: required(patternText, { doc: "Pattern searched in the device name." }),
  methodFilter: required(patternText, { doc: "Pattern searched in the method." }),
  requestTopicExpression: required(expressionText, { doc: "Topic of the request." }),
  valueExpression: optional(expressionText, {
    doc: "Payload of the request. Required without `converter`.",
  }),
  converter: downlinkConverter,
  responseTopicExpression: optional(expressionText, { doc: "Topic of the response." }),
  responseTimeout: optional(wholeNumber(0, Number.MAX_SAFE_INTEGER), {
    doc: "Longest wait for the response.",
    unit: "ms",
  }),
  responseTopicQoS: field(qosLevel, 1, { doc: "QoS of the subscription for the response." }),
  ...publication,
});

const serverSideRpc = v.pipe(serverSideRpcFields, checkPayload());

/** The five lists of requests; they may stand in `requestsMapping` and at the root. */
export const requestFields = {
  connectRequests: field(entries(connectRequest), [], {
    doc: "Messages that announce a device.",
  }),
  disconnectRequests: field(entries(connectRequest), [], {
    doc: "Messages that sign a device off.",
  }),
  attributeRequests: field(entries(attributeRequest), [], {
    doc: "Messages by which devices ask for attributes.",
  }),
  attributeUpdates: field(entries(attributeUpdate), [], {
    doc: "Messages that tell devices of changed shared attributes.",
  }),
  serverSideRpc: field(entries(serverSideRpc), [], {
    doc: "Messages that carry remote procedure calls to devices.",
  }),
} as const;

/** `requestsMapping`. */
export const requestsMapping = v.looseObject(requestFields);

/** The five lists as `create` gets them. */
export type Requests = v.InferOutput<typeof requestsMapping>;
/** An element of `connectRequests` or `disconnectRequests`. */
export type ConnectConfig = v.InferOutput<typeof connectRequest>;
/** An element of `attributeRequests`. */
export type AttributeRequestConfig = v.InferOutput<typeof attributeRequest>;
/** An element of `attributeUpdates`. */
export type AttributeUpdateConfig = v.InferOutput<typeof attributeUpdate>;
/** An element of `serverSideRpc`. */
export type RpcConfig = v.InferOutput<typeof serverSideRpc>;
