import { randomBytes } from "node:crypto";
import type { ConnectorHost, Finding, ProbeArgs } from "#sdk/connector";
import { textOf } from "#sdk/encode";
import { RejectedError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { BrokerClient } from "./client.ts";
import { type Incoming, Intake } from "./intake.ts";
import { type HeardTopic, proposeMappings, total, valuesIn } from "./proposal.ts";
import { reasonText } from "./reasons.ts";
import { tlsSettings } from "./security.ts";
import { filterProblem } from "./topics.ts";

/** Arguments of `tbgw probe mqtt`. */
export const probeArgs = {
  target: {
    type: "positional",
    description: "HOST or HOST:PORT of the broker (default 127.0.0.1:1883)",
    valueHint: "HOST",
    required: false,
  },
  topic: {
    type: "string",
    description: "Topic filter to listen to (default #)",
    valueHint: "FILTER",
  },
  seconds: { type: "string", description: "How long to listen (default 10)", valueHint: "N" },
  expect: {
    type: "string",
    description: "A value that is published now: says where it was heard",
    valueHint: "VALUE",
  },
  version: { type: "string", description: "MQTT 3, 4 (3.1.1) or 5 (default 5)", valueHint: "N" },
  username: { type: "string", description: "User name", valueHint: "NAME" },
  password: { type: "string", description: "Password of the user", valueHint: "TEXT" },
  tls: { type: "boolean", description: "Connect over TLS" },
  ca: { type: "string", description: "PEM file of the broker's authority", valueHint: "FILE" },
  cert: { type: "string", description: "PEM file of a client certificate", valueHint: "FILE" },
  key: { type: "string", description: "PEM file of its key", valueHint: "FILE" },
  insecure: { type: "boolean", description: "Accept any certificate" },
} as const satisfies ProbeArgs;

type Options = Readonly<Record<string, string | boolean>>;

/** Topics that are kept apart; further ones are only counted. */
const MAX_TOPICS = 10_000;
/** Topics printed one by one. */
const MAX_LISTED = 20;
/** Longest part of a payload in a line. */
const SAMPLE_LENGTH = 120;
const MAX_SECONDS = 86_400;

/**
 * Listens to a broker, says what was heard, and proposes a connector file for it. It publishes nothing, and leaves no session
 * behind. @throws RejectedError for an option that is none or a filter the broker refuses, TransientError when it cannot connect
 */
export async function* probeMqtt(
  options: Options,
  tools: Pick<ConnectorHost, "clock" | "log">,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const broker = readBroker(options);
  const filter = text(options, "topic", "#");
  const problem = filterProblem(filter);
  if (problem !== undefined) {
    throw new RejectedError(`--topic: ${problem}`);
  }
  const seconds = readNumber(options, "seconds", { fallback: 10, max: MAX_SECONDS });
  const expected = options["expect"] === undefined ? undefined : text(options, "expect");
  const heard = new Heard(expected);
  await using intake = listeningIntake(tools, (message) => heard.add(message));
  await using client = await BrokerClient.open(
    {
      endpoint: { host: broker.host, port: broker.port, tls: broker.tls },
      version: broker.version,
      clientId: `tbgw-probe-${randomBytes(4).toString("hex")}`,
      username: broker.username,
      password: broker.password,
      clean: true,
      sessionExpiryS: 0,
      keepAliveS: 60,
      receiveMaximum: 1000,
      intake,
      clock: tools.clock,
    },
    signal,
  );
  const [code = 0x80] = await client.subscribe({
    filters: [{ filter, qos: 0 }],
    identifier: undefined,
    retainHandling: 0,
  });
  if (code >= 0x80) {
    throw new RejectedError(
      `The broker refuses the subscription to ${filter}: ${reasonText(code)}`,
    );
  }
  yield { text: `Listening to ${filter} on ${broker.host}:${broker.port} for ${seconds} s …` };
  const lost = client.closed.then((error) => Promise.reject(error));
  await Promise.race([tools.clock.sleep(seconds * 1000, signal).catch(() => undefined), lost]);
  client.stopReading();
  yield* heard.report(broker.file, seconds);
}

/** Takes everything in and keeps nothing for the store. */
function listeningIntake(
  tools: Pick<ConnectorHost, "clock" | "log">,
  take: (message: Incoming) => void,
): Intake {
  const stored = { status: "stored" } as const;
  return new Intake({
    host: {
      ...tools,
      uplink: {
        accept: async () => await Promise.resolve(stored),
        tryAccept: () => ({ status: "queued" }),
      },
    },
    convert: (message) => {
      take(message);
      return [];
    },
    maxMessages: 1000,
    maxBytes: 16 * 1024 * 1024,
    onDefect: (error) => tools.log.error("Listening failed", { error }),
  });
}

/** What came, by topic. */
class Heard {
  readonly #topics = new Map<string, { count: number; sample: Uint8Array }>();
  readonly #expected: string | undefined;
  readonly #places = new Set<string>();
  #messages = 0;
  #unlisted = 0;

  constructor(expected: string | undefined) {
    this.#expected = expected;
  }

  add({ topic, payload }: Incoming): void {
    this.#messages += 1;
    if (this.#expected !== undefined) {
      this.#lookFor(this.#expected, topic, payload);
    }
    const known = this.#topics.get(topic);
    if (known !== undefined) {
      known.count += 1;
    } else if (this.#topics.size < MAX_TOPICS) {
      this.#topics.set(topic, { count: 1, sample: Uint8Array.from(payload) });
    } else {
      this.#unlisted += 1;
    }
  }

  *report(broker: Json, seconds: number): Generator<Finding> {
    const topics = [...this.#topics].map(([topic, one]): HeardTopic => ({ topic, ...one }));
    const more = this.#unlisted === 0 ? "" : `, and ${this.#unlisted} messages on further ones`;
    yield { text: `${this.#messages} messages on ${topics.length} topics${more}` };
    if (this.#expected !== undefined) {
      const places = [...this.#places].map((place) => `${this.#expected} was heard in ${place}`);
      yield { text: places.join("\n") || `${this.#expected} was not heard` };
    }
    const proposals = proposeMappings(topics);
    for (const { topicFilter, topics: members } of proposals.slice(0, MAX_LISTED)) {
      const rate = (total(members) / seconds).toFixed(1);
      const [first] = members;
      const example = `${first?.topic ?? ""} ← ${sampleText(first?.sample ?? new Uint8Array())}`;
      yield { text: `${topicFilter}  ${members.length} topics, ${rate}/s, for example ${example}` };
    }
    if (proposals.length > MAX_LISTED) {
      yield { text: `… and ${proposals.length - MAX_LISTED} further forms of messages` };
    }
    if (proposals.length > 0) {
      yield {
        text: "A connector file to begin with:",
        config: { broker, mapping: proposals.slice(0, MAX_LISTED).map(({ mapping }) => mapping) },
      };
    }
  }

  #lookFor(expected: string, topic: string, payload: Uint8Array): void {
    for (const { path, value } of valuesIn(payload)) {
      const found = textOf(value);
      const isSame = found === expected || (found !== "" && Number(found) === Number(expected));
      if (isSame && this.#places.size < MAX_LISTED) {
        this.#places.add(`${topic} as \${${path}}`);
      }
    }
  }
}

/** Where the broker is, and how a connector file says that: without the password. */
function readBroker(options: Options) {
  const version = readNumber(options, "version", { fallback: 5, max: 5 });
  const { host, port } = readTarget(text(options, "target", "127.0.0.1"));
  const security = readSecurity(options);
  const { username } = security;
  const inFile = {
    ...security,
    ...(username === undefined ? {} : { password: "${env:MQTT_PASSWORD}" }),
  };
  return {
    host,
    port,
    version: version === 3 ? 3 : version === 4 ? 4 : 5,
    tls: tlsSettings({
      ...NO_SECURITY,
      ...security,
      tls: security.type === "certificates",
      insecure: options["insecure"] === true,
    }),
    username,
    password: options["password"] === undefined ? undefined : text(options, "password"),
    file: { host, port, version, security: withoutUndefined(inFile) },
  } as const;
}

/** The part of `broker.security` that the options say. */
function readSecurity(options: Options) {
  const pathTo = (name: string): string | undefined =>
    options[name] === undefined ? undefined : text(options, name);
  const isTls = options["tls"] === true || options["ca"] !== undefined;
  const username = pathTo("username");
  const plain = username === undefined ? ("anonymous" as const) : ("basic" as const);
  return {
    type: isTls ? ("certificates" as const) : plain,
    username,
    pathToCACert: pathTo("ca"),
    pathToClientCert: pathTo("cert"),
    pathToPrivateKey: pathTo("key"),
    ...(options["insecure"] === true ? { insecure: true } : {}),
  };
}

const NO_SECURITY = { privateKeyPassphrase: undefined, password: undefined };

function withoutUndefined(
  object: Readonly<Record<string, string | boolean | undefined>>,
): Record<string, Json> {
  const found: Record<string, Json> = {};
  for (const [key, value] of Object.entries(object)) {
    if (value !== undefined) {
      found[key] = value;
    }
  }
  return found;
}

function readTarget(target: string): { readonly host: string; readonly port: number } {
  const [, host = "", port = "1883"] = /^(.+?)(?::(\d+))?$/.exec(target) ?? [];
  if (host === "" || Number(port) < 1 || Number(port) > 65_535) {
    throw new RejectedError(`"${target}" is no HOST or HOST:PORT`);
  }
  return { host, port: Number(port) };
}

function text(options: Options, name: string, fallback = ""): string {
  return String(options[name] ?? fallback);
}

function readNumber(
  options: Options,
  name: string,
  { fallback, max }: { readonly fallback: number; readonly max: number },
): number {
  const value = Number(text(options, name, String(fallback)));
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new RejectedError(`--${name} must be a whole number from 1 to ${max}`);
  }
  return value;
}

function sampleText(payload: Uint8Array): string {
  const whole = Buffer.from(payload).toString().replaceAll(/\s+/g, " ");
  const isText = !whole.includes("\uFFFD");
  const shown = isText ? whole : `0x${Buffer.from(payload).toString("hex")}`;
  return shown.length > SAMPLE_LENGTH ? `${shown.slice(0, SAMPLE_LENGTH)}…` : shown;
}
