import type { ConnectorHost, Metrics } from "#sdk/connector";
import type { MqttMessage } from "#sdk/converter";
import { DataError } from "#sdk/errors";
import { type Logger, rateLimited } from "#sdk/logger";
import type { DeviceData } from "#sdk/model";
import type { Incoming } from "./intake.ts";
import { REPLY_IDENTIFIER, type Wanted } from "./subscriptions.ts";
import { TopicRouter } from "./topics.ts";

/** One mapping at work. */
export interface MappingRoute {
  readonly kind: "mapping";
  /** JSON path of the mapping in the file. */
  readonly path: string;
  readonly filter: string;
  /** @see createUplink */
  readonly convert: (
    message: MqttMessage,
    onBadPoint: (error: DataError) => void,
  ) => readonly DeviceData[];
  /** Whether the converter counts what it leaves out itself, as extensions do. */
  readonly counts: boolean;
}

/** A request of a device: to connect, to disconnect, for attributes. */
export interface RequestRoute {
  readonly kind: "request";
  /** JSON path of the request in the file. */
  readonly path: string;
  readonly filter: string;
  /** Carries it out; never waits. @throws DataError when the message is of no use */
  readonly handle: (message: MqttMessage) => void;
}

/** Where responses of devices arrive; one that nobody waits for any more is of no use. */
export interface ReplyRoute {
  readonly kind: "reply";
  readonly path: string;
  readonly filter: string;
}

/** Whatever messages of a filter are for. */
export type Route = MappingRoute | RequestRoute | ReplyRoute;

/** A route, and the subscription that serves it. */
export interface Served {
  readonly route: Route;
  readonly wanted: Wanted;
}

/** What the routes need of their surroundings. */
export interface RoutesOptions {
  readonly routes: readonly Route[];
  readonly maxPayloadBytes: number;
  /** Offers a message to the calls that wait for a response. `true`: one waits for its topic. */
  readonly offerReply?: (message: Incoming) => boolean;
  readonly host: Pick<ConnectorHost, "clock" | "metrics" | "log" | "converterLog">;
}

/** Longest part of a payload in a log line. */
const SAMPLE_BYTES = 200;

/** Where a message that gave nothing is counted. */
interface Outcome {
  readonly records: DeviceData[];
  /** Why the first mapping that failed did. */
  reason: string | undefined;
  /** Something has been counted already, or the message is no data. */
  isCounted: boolean;
}

/**
 * Hands each message first to the call that waits for it as a response, then to everything whose filter matches its topic:
 * mappings, requests. Accounts for data that gives nothing: each message is counted once, with a reason, and logged now and
 * then. Requests and responses are no data.
 */
export class Routes {
  readonly #options: RoutesOptions;
  readonly #router = new TopicRouter<Route>();
  readonly #logs = new Map<Route, Logger>();
  readonly #log: Logger;
  #identifiers: ReadonlyMap<string, number> = new Map();
  #knownIdentifiers: ReadonlySet<number> = new Set();

  constructor(options: RoutesOptions) {
    const { clock, log, converterLog } = options.host;
    this.#options = options;
    this.#log = rateLimited(log, clock);
    for (const route of options.routes) {
      this.#router.add(route.filter, route);
      this.#logs.set(route, rateLimited(route.kind === "mapping" ? converterLog : log, clock));
    }
  }

  /** Under which subscription identifier the broker delivers which filter. */
  setIdentifiers(identifiers: ReadonlyMap<string, number>): void {
    this.#identifiers = identifiers;
    this.#knownIdentifiers = new Set(identifiers.values());
  }

  /** The records of a message; never throws. An empty list: counted, and of no further use. */
  convert(incoming: Incoming): readonly DeviceData[] {
    const { host, maxPayloadBytes } = this.#options;
    const { topic, payload } = incoming;
    host.metrics.count("connectorMsgsReceived");
    host.metrics.count("connectorBytesReceived", payload.length);
    if (payload.length > maxPayloadBytes) {
      this.#log.warn("Message is too large", { topic, bytes: payload.length, maxPayloadBytes });
      host.metrics.rejected("too-large");
      return [];
    }
    const isReply = this.#options.offerReply?.(incoming) === true;
    const routes = this.#select(incoming);
    if (routes.length === 0) {
      if (isReply) {
        return [];
      }
      this.#log.debug("No mapping matches the topic", { topic });
      host.metrics.rejected("no-mapping");
      return [];
    }
    const message = {
      payload,
      topic,
      qos: incoming.qos,
      retain: incoming.retain,
      receivedTs: host.clock.now(),
    };
    const outcome: Outcome = { records: [], reason: undefined, isCounted: isReply };
    for (const route of routes) {
      this.#dispatch(route, message, outcome);
    }
    this.#account(outcome);
    return outcome.records;
  }

  /** With subscription identifiers the broker says which subscription a delivery is for; the others get their own. */
  #select({ topic, subscriptionIds }: Incoming): readonly Route[] {
    const matching = this.#router.match(topic);
    if (subscriptionIds.length === 1 && subscriptionIds[0] === REPLY_IDENTIFIER) {
      return NONE; // For the response of one call; what else is configured is delivered apart.
    }
    if (
      subscriptionIds.length === 0 ||
      matching.length < 2 ||
      !subscriptionIds.every((id) => this.#knownIdentifiers.has(id))
    ) {
      return matching;
    }
    const meant = matching.filter(({ filter }) =>
      subscriptionIds.includes(this.#identifiers.get(filter) ?? 0),
    );
    return meant.length === 0 ? matching : meant;
  }

  #dispatch(route: Route, message: MqttMessage, outcome: Outcome): void {
    if (route.kind === "mapping") {
      this.#convert(route, message, outcome);
      return;
    }
    outcome.isCounted = true;
    if (route.kind === "request") {
      this.#handle(route, message);
    }
  }

  #handle(route: RequestRoute, message: MqttMessage): void {
    const { metrics } = this.#options.host;
    try {
      route.handle(message);
      metrics.count("requestsProcessed");
    } catch (error) {
      metrics.count("requestsDropped");
      this.#logs.get(route)?.warn("Request cannot be carried out", {
        request: route.path,
        topic: message.topic,
        error,
        payload: sample(message.payload),
      });
    }
  }

  #convert(route: MappingRoute, message: MqttMessage, outcome: Outcome): void {
    const { metrics } = this.#options.host;
    try {
      const records = route.convert(message, (error) => {
        this.#onBadPoint(route, message, error);
        outcome.isCounted ||= error.reason !== "bad-timestamp";
      });
      outcome.records.push(...records);
      outcome.isCounted ||= route.counts;
      countConverted(records, metrics);
    } catch (error) {
      const reason = error instanceof DataError ? error.reason : "converter-error";
      outcome.reason ??= reason;
      metrics.count("convertersMsgDropped");
      this.#logs.get(route)?.warn("Message cannot be converted", {
        mapping: route.path,
        topic: message.topic,
        reason,
        error,
        payload: sample(message.payload),
      });
    }
  }

  #onBadPoint(route: Route, { topic }: MqttMessage, error: DataError): void {
    const { metrics } = this.#options.host;
    const fields = { mapping: route.path, topic, error };
    if (error.reason === "bad-timestamp") {
      metrics.count("badTimestamps");
      this.#logs.get(route)?.warn("Time cannot be read, the time of arrival is used", fields);
    } else {
      metrics.rejected(error.reason);
      this.#logs.get(route)?.warn("Value cannot be converted", fields);
    }
  }

  #account(outcome: Outcome): void {
    if (outcome.records.length === 0 && !outcome.isCounted) {
      this.#options.host.metrics.rejected(outcome.reason ?? "no-value");
    }
  }
}

const NONE: readonly Route[] = [];
const NO_ENTRIES: NonNullable<DeviceData["telemetry"]> = [];

/** What a converter made of one message, under the names of the statistics report. */
function countConverted(records: readonly DeviceData[], metrics: Metrics): void {
  let points = 0;
  let attributes = 0;
  for (const record of records) {
    attributes += record.attributes === undefined ? 0 : Object.keys(record.attributes).length;
    for (const { values } of record.telemetry ?? NO_ENTRIES) {
      points += Object.keys(values).length;
    }
  }
  metrics.count("convertersMsgProcessed");
  metrics.count("convertersTsProduced", points);
  metrics.count("convertersAttrProduced", attributes);
}

function sample(payload: Uint8Array): string {
  return Buffer.from(payload.subarray(0, SAMPLE_BYTES)).toString();
}
