// Each folder of test/cases/mqtt through the whole connector: messages, requests, RPCs and attribute updates over a socket.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { encodeJson } from "../../src/sdk/encode.ts";
import { RpcError } from "../../src/sdk/errors.ts";
import { readJson } from "../../src/sdk/json-reader.ts";
import { isJsonObject, type Json, type Values } from "../../src/sdk/model.ts";
import { TestHost, toJson } from "../support/connector-host.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RunningMqtt } from "../support/mqtt-connector.ts";
import { ScriptedBroker, type ScriptedPeer } from "../support/scripted-broker.ts";
import { until } from "../support/until.ts";

const root = resolve(import.meta.dir, "../cases/mqtt");

/** When every message arrives. */
const RECEIVED_TS = 1_700_000_000_500;

const json = v.unknown();
const note = v.optional(v.string(), "");

const publication = v.strictObject({
  topic: v.string(),
  payload: v.string(),
  qos: v.optional(v.number(), 0),
  retain: v.optional(v.boolean(), false),
});

const message = v.strictObject({
  note,
  topic: v.optional(v.string(), "t"),
  payload: v.optional(json, ""),
  hex: v.optional(v.string()),
  retain: v.optional(v.boolean(), false),
});

const expectedSchema = v.object({
  messages: v.optional(
    v.array(
      v.strictObject({
        ...message.entries,
        records: v.array(json),
        rejected: v.optional(v.record(v.string(), v.number()), {}),
      }),
    ),
    [],
  ),
  /** Messages that are requests of devices. */
  requests: v.optional(
    v.array(
      v.strictObject({
        ...message.entries,
        /** Devices known afterwards, with their profile. */
        devices: v.optional(v.record(v.string(), v.string())),
        /** What the platform is asked, and knows. */
        asked: v.optional(json),
        platform: v.optional(v.record(v.string(), json), {}),
        published: v.optional(v.array(publication), []),
        records: v.optional(v.array(json), []),
        rejected: v.optional(v.record(v.string(), v.number()), {}),
        logged: v.optional(v.string()),
      }),
    ),
    [],
  ),
  rpc: v.optional(
    v.array(
      v.strictObject({
        note,
        deviceName: v.optional(v.string()),
        id: v.optional(v.number(), 7),
        method: v.string(),
        params: v.optional(json, null),
        published: v.optional(v.array(publication), []),
        response: v.optional(v.strictObject({ topic: v.string(), payload: json })),
        reply: v.optional(json),
        error: v.optional(v.string()),
      }),
    ),
    [],
  ),
  attributes: v.optional(
    v.array(
      v.strictObject({
        note,
        deviceName: v.string(),
        values: v.optional(v.record(v.string(), json), {}),
        removed: v.optional(v.array(v.string()), []),
        published: v.array(publication),
      }),
    ),
    [],
  ),
});

type Publication = v.InferOutput<typeof publication>;

const read = (path: string): Json => readJson(readFileSync(join(root, path), "utf8"));

/** What was read from a file of JSON is JSON. */
const asJson = (value: unknown): Json => value as Json;

const encode = (value: unknown): string => encodeJson(asJson(value));

const textOf = (value: unknown): string => (typeof value === "string" ? value : encode(value));

/** A connector of one case with its broker, and the message identifiers used so far. */
class Case implements AsyncDisposable {
  readonly #broker: ScriptedBroker;
  readonly clock: FakeClock;
  readonly running: RunningMqtt;
  readonly peer: ScriptedPeer;
  #messageId = 0;

  private constructor(
    broker: ScriptedBroker,
    clock: FakeClock,
    running: RunningMqtt,
    peer: ScriptedPeer,
  ) {
    this.#broker = broker;
    this.clock = clock;
    this.running = running;
    this.peer = peer;
  }

  static async start(name: string): Promise<Case> {
    const broker = await ScriptedBroker.listen(() => ({ acknowledges: true }));
    const file = read(`${name}/config.json`);
    if (!isJsonObject(file) || !isJsonObject(file["broker"])) {
      throw new Error(`${name}: config.json has no broker`);
    }
    const clock = new FakeClock(RECEIVED_TS);
    const host = new TestHost({ clock });
    const address = { ...file["broker"], port: broker.port };
    const running = await RunningMqtt.start(
      address,
      { mapping: [], ...file, broker: address },
      host,
    );
    const peer = await broker.peer();
    await host.status("connected");
    return new Case(broker, clock, running, peer);
  }

  get host(): TestHost {
    return this.running.host;
  }

  /** Sends one message with QoS 1 and waits until it is acknowledged. */
  async send({ topic, payload, hex, retain }: v.InferOutput<typeof message>): Promise<void> {
    this.#messageId += 1;
    const bytes = hex === undefined ? Buffer.from(textOf(payload)) : Buffer.from(hex, "hex");
    this.peer.publish(topic, bytes, { qos: 1, messageId: this.#messageId, retain });
    await this.peer.packet("puback", this.#messageId);
  }

  /** Waits for what the connector has published from `start` on. */
  async published(start: number, count: number): Promise<readonly Publication[]> {
    await until(`${count} messages`, () => this.peer.of("publish").length >= start + count);
    await this.peer.roundTrip();
    return this.peer
      .of("publish")
      .slice(start)
      .map(({ topic, payload, qos, retain }) => ({
        topic,
        payload: payload.toString(),
        qos,
        retain,
      }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]();
    await this.#broker[Symbol.asyncDispose]();
  }
}

const total = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries(counts);

/** A test of a section, where a case has it. */
function testSome(section: readonly unknown[], what: string, run: () => Promise<void>): void {
  if (section.length > 0) {
    test(what, run);
  }
}

describe.each(readdirSync(root))("%s", (name) => {
  const expected = v.parse(expectedSchema, read(`${name}/expected.json`));

  testSome(expected.messages, "messages", async () => {
    await using one = await Case.start(name);
    for (const [index, wanted] of expected.messages.entries()) {
      const where = `message ${index} ${wanted.note}`;
      one.host.accepted.splice(0);
      one.host.rejections.clear();
      await one.send(wanted);
      const records = one.host.accepted.map((record) => encodeJson(toJson(record)));
      expect([where, ...records]).toEqual([where, ...wanted.records.map(encode)]);
      expect([where, total(one.host.rejections)]).toEqual([where, wanted.rejected]);
    }
  });

  testSome(expected.requests, "requests", async () => {
    await using one = await Case.start(name);
    for (const [index, wanted] of expected.requests.entries()) {
      const where = `request ${index} ${wanted.note}`;
      const start = one.peer.of("publish").length;
      const asked: Json[] = [];
      one.host.accepted.splice(0);
      one.host.rejections.clear();
      one.host.lines.splice(0);
      // A log line of a kind is written once a minute.
      await one.clock.advance(61_000);
      one.host.answerAttributes = async (deviceName, { shared = [], client = [] }) => {
        asked.push({ deviceName, shared: [...shared], client: [...client] });
        const known = (keys: readonly string[]): Values =>
          Object.fromEntries(
            keys
              .filter((key) => key in wanted.platform)
              .map((key) => [key, asJson(wanted.platform[key])]),
          );
        return await Promise.resolve({ shared: known(shared), client: known(client) });
      };
      await one.send(wanted);
      const published = await one.published(start, wanted.published.length);
      expect([where, published]).toEqual([where, wanted.published]);
      const records = one.host.accepted.map((record) => encodeJson(toJson(record)));
      expect([where, ...records]).toEqual([where, ...wanted.records.map(encode)]);
      expect([where, total(one.host.rejections)]).toEqual([where, wanted.rejected]);
      expect([where, asked]).toEqual([
        where,
        wanted.asked === undefined ? [] : [asJson(wanted.asked)],
      ]);
      if (wanted.devices !== undefined) {
        const devices = [...one.host.devices].map(([key, { deviceType }]) => [key, deviceType]);
        expect([where, Object.fromEntries(devices)]).toEqual([where, wanted.devices]);
      }
      if (wanted.logged !== undefined) {
        const lines = one.host.lines.map(
          ({ message: text, fields }) => `${text} ${String(fields["error"])}`,
        );
        expect(`${where} ${lines.join("\n")}`).toContain(wanted.logged);
      }
    }
  });

  testSome(expected.rpc, "rpc", async () => {
    await using one = await Case.start(name);
    for (const [index, wanted] of expected.rpc.entries()) {
      const where = `rpc ${index} ${wanted.note}`;
      const { deviceName, id, method, params } = wanted;
      const start = one.peer.of("publish").length;
      const request = { id, method, params: asJson(params), timeoutMs: 10_000 };
      const { signal } = new AbortController();
      const { connector } = one.running;
      const call =
        deviceName === undefined
          ? connector.handleConnectorRpc?.(request, signal)
          : connector.handleRpc?.({ ...request, deviceName }, signal);
      const outcome = Promise.resolve(call).then(
        (reply) => ({ reply }),
        (error: unknown) => ({ error }),
      );
      const published = await one.published(start, wanted.published.length);
      expect([where, published]).toEqual([where, wanted.published]);
      if (wanted.response !== undefined) {
        one.peer.publish(wanted.response.topic, textOf(wanted.response.payload));
      }
      const settled = await outcome;
      if (wanted.error === undefined) {
        expect([where, settled]).toEqual([where, { reply: asJson(wanted.reply) }]);
      } else {
        const { error } = { error: undefined, ...settled };
        const text = error instanceof RpcError ? `${error.code} ${error.message}` : String(error);
        expect(`${where}: ${text}`).toContain(wanted.error);
      }
    }
  });

  testSome(expected.attributes, "attribute updates", async () => {
    await using one = await Case.start(name);
    for (const [index, wanted] of expected.attributes.entries()) {
      const where = `update ${index} ${wanted.note}`;
      const start = one.peer.of("publish").length;
      const { deviceName, values, removed } = wanted;
      await one.running.connector.handleAttributes?.(
        { deviceName, values: values as Values, removed },
        new AbortController().signal,
      );
      const published = await one.published(start, wanted.published.length);
      expect([where, published]).toEqual([where, wanted.published]);
    }
  });
});
