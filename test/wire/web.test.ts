// The web server over real connections: what it answers, whom it refuses, and a port that is taken.
import { describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { type Clock, systemClock } from "../../src/sdk/clock.ts";
import { TransientError } from "../../src/sdk/errors.ts";
import { createLogger, type LogRecord } from "../../src/sdk/logger.ts";
import type { GatewayStatus } from "../../src/service/status.ts";
import { WebServer } from "../../src/web/server.ts";
import type { WebSources } from "../../src/web/sources.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { someStatus } from "../support/gateway-status.ts";

interface Rig extends AsyncDisposable {
  readonly server: WebServer;
  readonly records: readonly LogRecord[];
  get(path: string, init?: RequestInit): Promise<Response>;
}

interface Listening {
  readonly host?: string;
  readonly port?: number;
  readonly clock?: Clock;
}

function open(
  sources: Partial<WebSources> = {},
  { host = "127.0.0.1", port = 0, clock = systemClock }: Listening = {},
): Rig {
  const records: LogRecord[] = [];
  const sink = (record: LogRecord): void => {
    records.push(record);
  };
  const log = createLogger({ source: "service", level: "info", clock, sink });
  const all: WebSources = {
    now: () => systemClock.now(),
    stage: () => "running",
    status: async () => someStatus(),
    connectors: () => someStatus().connectors,
    devices: () => ({ devices: [], omitted: 0 }),
    ...sources,
  };
  const server = new WebServer({ host, port, clock, log, sources: all });
  server.start();
  return {
    server,
    records,
    get: (path, init) => fetch(`http://127.0.0.1:${server.port}${path}`, init),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const status =
  (changed: Partial<GatewayStatus>): WebSources["status"] =>
  async () =>
    someStatus(changed);

describe("/healthz", () => {
  test("is 200 while both threads answer, and 503 when the delivery thread does not", async () => {
    await using well = open();
    const good = await well.get("/healthz");
    expect([good.status, await good.json()]).toEqual([
      200,
      { alive: true, stage: "running", collection: "answering", delivery: "answering" },
    ]);
    await using ill = open({ status: status({ delivery: "not-answering" }) });
    const bad = await ill.get("/healthz");
    expect(bad.status).toBe(503);
    expect(await bad.json()).toMatchObject({ alive: false, delivery: "not-answering" });
  });

  test("is 200 while the store is being opened: that is no reason to kill the process", async () => {
    await using rig = open({
      stage: () => "starting",
      status: () => Promise.reject(new TransientError("not yet")),
    });
    expect((await rig.get("/healthz")).status).toBe(200);
    expect((await rig.get("/readyz")).status).toBe(503);
    expect((await rig.get("/")).status).toBe(200);
    expect((await rig.get("/metrics")).status).toBe(503);
  });
});

describe("/readyz", () => {
  test("waits for the first start of every connector, not for the platform", async () => {
    const [connector] = someStatus().connectors;
    if (connector === undefined) {
      throw new Error("the status has a connector");
    }
    const { link } = someStatus();
    await using starting = open({
      status: status({ connectors: [{ ...connector, state: "starting" }] }),
    });
    expect((await starting.get("/readyz")).status).toBe(503);
    await using offline = open({
      status: status({
        connectors: [{ ...connector, state: "failed", restarts: 3 }],
        link: { ...link, state: "down" },
      }),
    });
    const ready = await offline.get("/readyz");
    expect([ready.status, await ready.json()]).toEqual([
      200,
      {
        ready: true,
        stage: "running",
        store: "open",
        uplink: "down",
        connectors: [{ name: "Plant broker", type: "mqtt", state: "failed" }],
      },
    ]);
  });
});

describe("the status page", () => {
  test("loads nothing, runs nothing, and shows names as text", async () => {
    const name = `<img src=x onerror="alert(1)">`;
    const [connector] = someStatus().connectors;
    await using rig = open({
      status: status({ connectors: connector === undefined ? [] : [{ ...connector, name }] }),
    });
    const response = await rig.get("/");
    const text = await response.text();
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(text).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
    const markup = (text.match(/<[^>]+>/g) ?? []).join("\n");
    expect(markup).not.toMatch(/<(img|script|link|iframe)|\ssrc=|href=/i);
    expect(text).not.toMatch(/url\(|https?:/i);
  });
});

describe("a request", () => {
  test("with the name of another site is refused, so that no page elsewhere can read the status", async () => {
    await using rig = open();
    for (const host of ["evil.example", `evil.example:${rig.server.port}`, "10.0.0.5"]) {
      const response = await rig.get("/metrics", { headers: { host } });
      expect([response.status, await response.text()]).toEqual([
        403,
        "This server is reached as localhost or 127.0.0.1 only\n",
      ]);
    }
    const local = { headers: { host: `localhost:${rig.server.port}` } };
    expect((await rig.get("/metrics", local)).status).toBe(200);
  });

  test("other than GET, or for something that is not there, changes nothing and says why", async () => {
    await using rig = open();
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const response = await rig.get("/", { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
    }
    expect((await rig.get("/../../etc/passwd")).status).toBe(404);
    expect((await rig.get("/metrics/")).status).toBe(404);
  });

  test("above the limit is told to come again, while the others wait for a slow status", async () => {
    const late = Promise.withResolvers<GatewayStatus>();
    await using rig = open({ status: () => late.promise });
    const all = Array.from({ length: 40 }, () => rig.get("/metrics"));
    const tooMany = new Set<number>();
    await Promise.all(
      all.slice(32).map(async (one) => {
        tooMany.add((await one).status);
      }),
    );
    late.resolve(someStatus());
    const statuses = await Promise.all(all.map(async (one) => (await one).status));
    expect([...tooMany]).toEqual([503]);
    expect(statuses.filter((one) => one === 200).length).toBe(32);
  });
});

describe("WebServer", () => {
  test("goes on when its port is taken, warns once, and listens when the port is free", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, "127.0.0.1", () => resolve());
    });
    const address = other.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const clock = new FakeClock();
    await using rig = open({}, { port, clock });
    expect(rig.server.port).toBeUndefined();
    // Several attempts, all of them in vain.
    await clock.advance(30_000);
    expect(rig.server.port).toBeUndefined();
    const warnings = rig.records.filter(({ level }) => level === "warn");
    expect(warnings.length).toBe(1);
    expect(warnings[0]?.fields["advice"]).toContain("tbgw.web.port");
    await new Promise<void>((resolve) => {
      other.close(() => resolve());
    });
    await clock.advance(20_000);
    expect(rig.server.port).toBe(port);
    expect((await rig.get("/healthz")).status).toBe(200);
  });

  test("warns when others can reach it, and takes any name then", async () => {
    await using rig = open({}, { host: "0.0.0.0" });
    expect(
      rig.records.some(({ level, message }) => level === "warn" && /no password/.test(message)),
    ).toBe(true);
    expect((await rig.get("/healthz", { headers: { host: "gw.plant.example" } })).status).toBe(200);
  });

  test("can be disposed before it listens, and twice", async () => {
    const rig = open({}, { host: "192.0.2.1" });
    await rig[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
    expect(rig.server.port).toBeUndefined();
  });
});
