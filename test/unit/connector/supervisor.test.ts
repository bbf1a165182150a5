import { describe, expect, test } from "bun:test";
import { attribution } from "../../../src/connector/attribution.ts";
import type { ConnectorDefinition } from "../../../src/connector/registry.ts";
import { ConnectorSupervisor } from "../../../src/connector/supervisor.ts";
import type { Connector, ConnectorHost } from "../../../src/sdk/connector.ts";
import { ConfigError } from "../../../src/sdk/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { until } from "../../support/until.ts";

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
  const { log, messages, records } = memoryLog();
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
  return { clock, events, messages, records, supervisor, stop, done };
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
    await clock.advance(500);
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

  test("an instance that comes after its time is disposed", async () => {
    const late = Promise.withResolvers<Connector>();
    const { clock, supervisor, stop, done } = setUp(() => late.promise);
    await clock.advance(30_000);
    const disposed = Promise.withResolvers<void>();
    late.resolve({
      run: untilAborted,
      [Symbol.asyncDispose]: async () => disposed.resolve(),
    });
    await disposed.promise;
    expect(supervisor.instance).toBeUndefined();
    stop.abort();
    await clock.advance(1000);
    await done;
  });

  test("what a create returns that is no connector is said, and tried again", async () => {
    const { clock, messages, records, supervisor, stop, done } = setUp(
      () => ({ go: 1 }) as unknown as Connector,
    );
    await clock.advance(0);
    expect(supervisor.state).toBe("failed");
    expect(messages("error")).toEqual(["Connector ended and is started again"]);
    expect(records[0]?.fields["error"]).toBe(
      'The create of connector "line 1" has returned an object without run()',
    );
    stop.abort();
    await done;
  });

  test("a dispose that throws at once costs nobody anything", async () => {
    const { clock, messages, supervisor, stop, done } = setUp(() => ({
      run: () => Promise.reject(new Error("bug")),
      [Symbol.asyncDispose]: () => {
        throw new Error("bug in dispose");
      },
    }));
    await clock.advance(0);
    expect(messages("error")[0]).toBe("Connector failed as it was disposed");
    expect(supervisor.state).toBe("failed");
    await clock.advance(1000);
    expect(supervisor.restarts).toBe(2);
    stop.abort();
    await done;
    expect(supervisor.state).toBe("stopped");
  });

  test("an error that nobody has handled aborts the instance it is charged to, which is replaced", async () => {
    const aborted: unknown[] = [];
    const { clock, supervisor, records, stop, done } = setUp(() =>
      connector(async (signal) => {
        setImmediate(() => attribution.charge(new Error("in a timer")));
        await untilAborted(signal);
        aborted.push(signal.reason);
        throw signal.reason;
      }),
    );
    await until("the instance to end", () => supervisor.state === "failed");
    expect(aborted).toEqual([new Error("in a timer")]);
    expect(records.at(-1)?.fields).toMatchObject({ error: "in a timer", pauseMs: 1000 });
    stop.abort();
    await clock.advance(1000);
    await done;
  });

  test("a create that hangs does not hold up a stop", async () => {
    const { clock, supervisor, stop, done } = setUp(
      () => Promise.withResolvers<Connector>().promise,
    );
    await clock.advance(10);
    stop.abort(new Error("stop"));
    await done;
    expect(supervisor.state).toBe("stopped");
  });
});
