import { describe, expect, test } from "bun:test";
import type { ConnectorDefinition } from "../../../src/connector/registry.ts";
import { ConnectorSet, HEALTH_MS } from "../../../src/connector/reload.ts";
import { type ConnectorSetup, ConnectorSupervisor } from "../../../src/connector/supervisor.ts";
import type { ConnectorHost } from "../../../src/sdk/connector.ts";
import { ConfigError } from "../../../src/sdk/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

interface Plan {
  readonly v: string;
  readonly fails?: string;
}

const { signal } = new AbortController();

function setUp() {
  const clock = new FakeClock();
  const { log, messages } = memoryLog();
  const events: string[] = [];
  const definition: ConnectorDefinition = {
    kind: "connector",
    api: 1,
    type: "test",
    schema: {
      "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
    },
    create: (config) => {
      const plan = config as Plan; // The schema of these tests lets everything through.
      events.push(`create ${plan.v}`);
      if (plan.fails === "create") {
        throw new ConfigError("line.json", [{ path: "$", message: "no such port" }]);
      }
      return {
        run: async (stopped) => {
          if (plan.fails === "run") {
            throw new Error("cannot open");
          }
          const { promise, resolve } = Promise.withResolvers<void>();
          stopped.addEventListener("abort", () => resolve(), { once: true });
          await promise;
        },
        [Symbol.asyncDispose]: async () => {
          events.push(`dispose ${plan.v}`);
        },
      };
    },
  };
  const setup = (id: string, config: Plan, name = `line ${id}`): ConnectorSetup => ({
    id,
    name,
    type: "test",
    definition,
    config,
    logLevel: "info",
  });
  const levels = new Map<string, string>();
  const set = new ConnectorSet({
    clock,
    log,
    logging: ({ name, logLevel }) => levels.set(name, logLevel),
    supervise: (made) =>
      new ConnectorSupervisor(made, {
        clock,
        log,
        createHost: () => ({ host: {} as ConnectorHost, revoke: () => undefined }),
      }),
    onFailure: (error) => events.push(`failure ${error.message}`),
  });
  /** Replaces and lets the health time pass. */
  const replace = async (setups: readonly ConnectorSetup[]) => {
    const replaced = set.replace(setups, signal);
    await clock.advance(HEALTH_MS);
    await clock.advance(HEALTH_MS);
    return await replaced;
  };
  return { levels, clock, events, messages, set, setup, replace };
}

describe("ConnectorSet", () => {
  test("replace() touches only what has changed", async () => {
    const { clock, events, set, setup, replace } = setUp();
    set.start([setup("1", { v: "1a" }), setup("2", { v: "2a" }), setup("3", { v: "3a" })]);
    await clock.advance(0);
    events.length = 0;
    const failures = await replace([
      setup("4", { v: "4a" }),
      setup("1", { v: "1a" }),
      setup("2", { v: "2b" }),
    ]);
    expect(failures).toEqual([]);
    expect(events.toSorted()).toEqual(["create 2b", "create 4a", "dispose 2a", "dispose 3a"]);
    expect(set.setups.map(({ id }) => id)).toEqual(["4", "1", "2"]);
    await set[Symbol.asyncDispose]();
  });

  test("replace() takes a new name for a change, and lets a connector run whose logging alone has changed", async () => {
    const { clock, events, set, setup, replace, levels } = setUp();
    set.start([setup("1", { v: "a" }), setup("2", { v: "b" })]);
    await clock.advance(0);
    events.length = 0;
    const louder: ConnectorSetup = { ...setup("2", { v: "b" }), logLevel: "debug" };
    await replace([setup("1", { v: "a" }, "renamed"), louder]);
    expect(events.toSorted()).toEqual(["create a", "dispose a"]);
    expect(set.setups.map(({ name }) => name)).toEqual(["renamed", "line 2"]);
    expect(Object.fromEntries(levels)).toEqual({
      "line 1": "info",
      "line 2": "debug",
      renamed: "info",
    });
    await set[Symbol.asyncDispose]();
  });

  for (const fails of ["create", "run"]) {
    test(`replace() lets the previous version run again when ${fails} fails`, async () => {
      const { clock, events, set, setup, replace, messages } = setUp();
      set.start([setup("1", { v: "good" })]);
      await clock.advance(0);
      const failures = await replace([setup("1", { v: "bad", fails }), setup("2", { v: "other" })]);
      expect(failures).toMatchObject([{ id: "1", name: "line 1" }]);
      expect(set.setups.map(({ config }) => config)).toEqual([{ v: "good" }, { v: "other" }]);
      expect(set.supervisors.map(({ state }) => state)).toEqual(["running", "running"]);
      expect(events.filter((event) => event === "create good")).toHaveLength(2);
      expect(messages("error").at(-1)).toContain("does not start");
      await set[Symbol.asyncDispose]();
    });
  }

  test("replace() leaves nothing of a new connector that does not start", async () => {
    const { set, setup, replace } = setUp();
    const failures = await replace([setup("1", { v: "bad", fails: "run" })]);
    expect(failures).toHaveLength(1);
    expect(set.supervisors).toEqual([]);
  });

  test("starts nothing after it was disposed", async () => {
    const { set, setup, events } = setUp();
    await set[Symbol.asyncDispose]();
    set.start([setup("1", { v: "late" })]);
    expect(await set.replace([setup("1", { v: "late" })], signal)).toEqual([]);
    expect(events).toEqual([]);
  });
});
