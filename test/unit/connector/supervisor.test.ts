import { describe, expect, test } from "bun:test";
import type { ConnectorDefinition } from "../../../src/connector/registry.ts";
import { ConnectorSupervisor } from "../../../src/connector/supervisor.ts";
import type { Connector, ConnectorHost } from "../../../src/sdk/connector.ts";
import { ConfigError } from "../../../src/sdk/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

const schema = {
  "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
} as const;

/** Resolves when the signal aborts. */
async function untilAborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}

function setUp(create: () => Connector | Promise<Connector>) {
  const clock = new FakeClock();
  const { log, messages } = memoryLog();
  const events: string[] = [];
  const definition: ConnectorDefinition = {
    kind: "connector",
    api: 1,
    type: "test",
    schema,
    create: () => {
      events.push("create");
      return create();
    },
  };
  const setup = {
    id: "1",
    name: "line 1",
    type: "test",
    definition,
    config: {},
    logLevel: "info",
  } as const;
  const supervisor = new ConnectorSupervisor(setup, {
    clock,
    log,
    // The connector of these tests never looks at its host.
    createHost: () => ({ host: {} as ConnectorHost, revoke: () => events.push("revoke") }),
    onRunning: () => {
      events.push("shown");
      return { [Symbol.dispose]: () => events.push("hidden") };
    },
  });
  const stop = new AbortController();
  const done = supervisor.run(stop.signal);
  return { clock, events, messages, supervisor, stop, done };
}

function connector(
  run: (signal: AbortSignal) => Promise<void>,
  dispose = Promise.resolve(),
): Connector {
  return { run, [Symbol.asyncDispose]: () => dispose };
}

describe("ConnectorSupervisor", () => {
  test("runs one instance until it is stopped, then disposes it", async () => {
    const { clock, events, supervisor, stop, done } = setUp(() => connector(untilAborted));
    await clock.advance(1000);
    expect(supervisor.state).toBe("running");
    expect(supervisor.instance).toBeDefined();
    stop.abort();
    expect(supervisor.instance).toBeUndefined();
    await done;
    expect(new Set(events)).toEqual(new Set(["create", "shown", "hidden", "revoke"]));
    expect(events.at(-1)).toBe("revoke");
    expect(supervisor.state).toBe("stopped");
  });

  test("replaces an instance that ends by itself, after growing pauses", async () => {
    const { clock, events, supervisor, stop, done } = setUp(() =>
      connector(() => Promise.reject(new Error("bug in the connector"))),
    );
    await clock.advance(0);
    expect(supervisor.state).toBe("failed");
    await clock.advance(1000);
    await clock.advance(2000);
    await clock.advance(4000);
    expect(events.filter((event) => event === "create").length).toBe(4);
    expect(supervisor.restarts).toBe(4);
    stop.abort();
    await done;
  });

  test("a ConfigError makes it invalid, and it is not started again", async () => {
    const { clock, supervisor, messages, done } = setUp(() => {
      throw new ConfigError("mqtt.json", [{ path: "broker.host", message: "is missing" }]);
    });
    await done;
    await clock.advance(600_000);
    expect(supervisor.state).toBe("invalid");
    expect(messages("error")).toEqual(["Connector has an invalid configuration"]);
  });

  test("a connector that does not stop is abandoned after 5 s", async () => {
    const never = Promise.withResolvers<void>().promise;
    const { clock, messages, supervisor, stop, done } = setUp(() => connector(() => never, never));
    await clock.advance(10);
    stop.abort();
    await clock.advance(5000);
    await clock.advance(5000);
    await done;
    expect(messages("error")).toEqual(["Connector did not stop in time and is abandoned"]);
    expect(supervisor.state).toBe("stopped");
  });

  test("a create that hangs counts as a failure after 30 s", async () => {
    const { clock, supervisor, stop, done } = setUp(
      () => Promise.withResolvers<Connector>().promise,
    );
    await clock.advance(30_000);
    expect(supervisor.state).toBe("failed");
    stop.abort();
    await clock.advance(1000);
    await done;
  });
});
