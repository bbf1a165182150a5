import type { JsonRecord } from "../../../config/canonical.ts";
import { objectAt } from "../draft.ts";
import { type Interview, listOf } from "../interview.ts";
import { type Assistant, given, optionText, type ProbeOptions } from "./assistant.ts";
import { askSeconds, askUser, askValues, unasked } from "./questions.ts";

/** The wizard's part for MQTT brokers. */
export const mqtt: Assistant = {
  type: "mqtt",
  label: "MQTT",
  hint: "a broker that devices publish to",
  name: "MQTT",
  shape: {
    devices: ["mapping"],
    name: ["topicFilter"],
    lists: [
      ["converter", "timeseries"],
      ["converter", "attributes"],
    ],
    key: "key",
  },
  flags: ["target", "username", "password", "password-file", "tls", "ca", "topic", "seconds"],
  where: askWhere,
  otherwise: (options, problem) =>
    options["version"] === undefined && /MQTT version|protocol|closed|closes|answer/i.test(problem)
      ? { ...options, version: "4" }
      : undefined,
  complete,
  byHand,
};

async function askWhere(interview: Interview): Promise<ProbeOptions> {
  const target = await interview.text({
    flag: "mqtt-target",
    message: "Where is the broker? HOST or HOST:PORT",
    fallback: "127.0.0.1:1883",
  });
  const { username, password } = await askUser(interview, "mqtt");
  const tls =
    interview.given("mqtt-ca") ||
    (await interview.confirm({
      flag: "mqtt-tls",
      message: "Does the broker use TLS?",
      fallback: target.endsWith(":8883"),
    }));
  const ca = tls
    ? await interview.text({
        flag: "mqtt-ca",
        message: "PEM file of its authority (empty: a public one)",
        fallback: "",
      })
    : "";
  const topic = await interview.text({
    flag: "mqtt-topic",
    message: "Topics to listen to",
    fallback: "#",
  });
  const seconds = await askSeconds(interview, "mqtt");
  return given({
    target,
    ...unasked(interview, "mqtt", ["version"]),
    username,
    password,
    ...(tls ? { tls } : {}),
    ca,
    topic,
    seconds,
  });
}

/** Messages wait at the broker while the gateway is away, and the password is the one typed in. */
function complete(config: JsonRecord, options: ProbeOptions): JsonRecord {
  const broker = objectAt(config, "broker");
  const kept =
    broker["version"] === 5
      ? { cleanStart: false, sessionExpiryInterval: 86_400 }
      : { cleanSession: false };
  const username = optionText(options, "username");
  const user = username === "" ? {} : { username, password: optionText(options, "password") };
  const security = { ...objectAt(broker, "security"), ...user };
  return { ...config, broker: { ...broker, ...kept, security } };
}

function securityOf(options: ProbeOptions): JsonRecord {
  const ca = optionText(options, "ca");
  if (options["tls"] === true || ca !== "") {
    return { type: "certificates", ...(ca === "" ? {} : { pathToCACert: ca }) };
  }
  return { type: optionText(options, "username") === "" ? "anonymous" : "basic" };
}

async function byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord> {
  const topic = optionText(options, "topic");
  const hasWildcard = topic.includes("+");
  const device = await interview.text({
    flag: "mqtt-device",
    message: hasWildcard
      ? "Name of the device (empty: the level of the topic where the + is)"
      : "Name of the device",
    fallback: hasWildcard ? "" : "MQTT device",
  });
  const question = {
    type: "mqtt",
    message: "Members of the JSON messages to take as values, separated by commas",
    example: "temperature, humidity",
  };
  const values = await askValues(interview, question, listOf);
  const [, host = "", port = "1883"] =
    /^(.+?)(?::(\d+))?$/.exec(optionText(options, "target")) ?? [];
  const broker = { host, port: Number(port), version: Number(options["version"] ?? 5) };
  const security = securityOf(options);
  const mapping = [
    {
      topicFilter: topic,
      converter: {
        type: "json",
        deviceInfo: deviceInfoOf(topic, device),
        attributes: [],
        timeseries: listOf(values).map((key) => ({ type: "double", key, value: `\${${key}}` })),
      },
    },
  ];
  return complete({ broker: { ...broker, security }, mapping }, options);
}

/** Names the device by a constant, or by the first level of the topic that varies. */
export function deviceInfoOf(topic: string, device: string): JsonRecord {
  const profile = {
    deviceProfileExpressionSource: "constant",
    deviceProfileExpression: "default",
  };
  const levels = topic.split("/");
  const index = levels.indexOf("+");
  if (device !== "" || index < 0) {
    const name = device === "" ? "MQTT device" : device;
    return {
      deviceNameExpressionSource: "constant",
      deviceNameExpression: name,
      ...profile,
    };
  }
  const end = index === levels.length - 1 ? "$" : "/";
  return {
    deviceNameExpressionSource: "topic",
    deviceNameExpression: `^${"[^/]*/".repeat(index)}([^/]+)${end}`,
    ...profile,
  };
}
