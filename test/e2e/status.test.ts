// What a person, a script and a monitoring system see of the compiled gateway.
import { describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Ledger, ledgerImbalance } from "../../src/sdk/ledger.ts";
import { BINARY } from "../support/gateway-process.ts";
import { ledgerOf } from "../support/ledger-line.ts";
import { byReason, parseOpenMetrics, sumOf } from "../support/open-metrics.ts";
import { until } from "../support/until.ts";
import { makeLine, startLine, tbgw, type WatchedLine } from "../support/watched-line.ts";

const TIMEOUT_MS = 60_000;

/** 30 messages of 2 values for 3 devices, 4 that cannot be read, and what comes of them acknowledged. */
async function load(line: WatchedLine): Promise<void> {
  for (let seq = 0; seq < 30; seq += 1) {
    await line.publish(`plant/Device ${seq % 3}/data`, JSON.stringify({ seq, value: seq / 2 }));
  }
  for (let count = 0; count < 4; count += 1) {
    await line.publish("plant/Device 0/data", "this is not JSON");
  }
  await until("all is acknowledged", async () => {
    // The gateway adds what it says about each device itself.
    const { received, queued, rejected } = (await line.status()).store.ledger;
    return received >= 64 && queued === 0 && rejected["not-json"] === 4;
  });
}

describe("the account of a running gateway", () => {
  test(
    "is the same in tbgw status, in /metrics as prometheus_client reads it, and in the log",
    async () => {
      await using line = await startLine();
      await load(line);
      const { ledger } = (await line.status()).store;
      expect(ledgerImbalance(ledger)).toEqual({ intake: 0, delivery: 0 });
      const response = await line.get("/metrics");
      expect(response.headers.get("content-type")).toBe(
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
      );
      const samples = await parseOpenMetrics(await response.text());
      const fromMetrics: Ledger = {
        received: sumOf(samples, "tbgw_values_received"),
        stored: sumOf(samples, "tbgw_values_stored"),
        filtered: byReason(samples, "tbgw_values_filtered"),
        rejected: byReason(samples, "tbgw_values_rejected"),
        acknowledged: sumOf(samples, "tbgw_values_acknowledged"),
        queued: sumOf(samples, "tbgw_values_queued"),
        dropped: byReason(samples, "tbgw_values_dropped"),
        quarantined: sumOf(samples, "tbgw_values_quarantined"),
      };
      expect(fromMetrics).toEqual(ledger);
      expect(sumOf(samples, "tbgw_devices_connected")).toBe(3);
      expect(sumOf(samples, "tbgw_connector_devices")).toBe(3);
      expect(sumOf(samples, "tbgw_connector_received_messages")).toBe(34);
      expect(sumOf(samples, "tbgw_connector_stored_records")).toBe(30);
      expect(samples.filter(({ help }) => help === "")).toEqual([]);
      expect(samples.every(({ name, unit }) => unit === "" || name.includes(unit))).toBe(true);
      await line.gateway.stop();
      expect(ledgerOf(line.gateway.output)).toEqual(ledger);
    },
    TIMEOUT_MS,
  );

  test(
    "names connectors and devices with what they last did, in words and for scripts",
    async () => {
      await using line = await startLine();
      await load(line);
      const status = await line.status("--devices");
      expect(status).toMatchObject({
        delivery: "answering",
        clock: "set",
        devices: 3,
        devicesOmitted: 0,
        link: { state: "connected", protocol: "5" },
        connectors: [
          {
            name: "Plant broker",
            type: "mqtt",
            state: "running",
            link: "connected",
            devices: 3,
            rejected: { "not-json": 4 },
          },
        ],
      });
      expect(status.deviceList.map(({ name }) => name).toSorted()).toEqual([
        "Device 0",
        "Device 1",
        "Device 2",
      ]);
      expect(status.deviceList.every(({ lastReadAgoMs = 1e9 }) => lastReadAgoMs < 30_000)).toBe(
        true,
      );
      expect(status.rates.stored).toBeGreaterThan(0);
      const { code, out } = await line.tbgw();
      expect(code).toBe(0);
      expect(out).toMatch(/^Uplink +connected to 127\.0\.0\.1:\d+ for \d+ s, MQTT 5/m);
      expect(out).toMatch(/^ +rejected +4 +not-json 4$/m);
      expect(out).toMatch(/^Devices +3 connected of 3 known$/m);
      expect(out.split("\n").filter((text) => text.length > 80)).toEqual([]);
      const one = await line.tbgw("--connector", "Plant broker");
      expect(one.out).toMatch(/connectorMsgsReceived +34/);
      const wrong = await line.tbgw("--connector", "Plant brocker");
      expect([wrong.code, wrong.err]).toEqual([
        1,
        'tbgw: There is no connector "Plant brocker"; there is "Plant broker"\n',
      ]);
    },
    TIMEOUT_MS,
  );

  test(
    "goes on while the platform is away: the queue, its age and the next attempt are shown",
    async () => {
      await using line = await startLine();
      await line.platform.down();
      await line.publish("plant/Device 0/data", '{"seq":1,"value":2}');
      await until("the value waits", async () => (await line.status()).store.values >= 2);
      await until("the next attempt is known", async () => {
        const { out } = await line.tbgw();
        return /without a connection for \d+ s: .*next attempt in \d+ s/.test(
          out.replaceAll(/\s+/g, " "),
        );
      });
      const { out } = await line.tbgw();
      expect(out.replaceAll(/\s+/g, " ")).toMatch(
        /Queue \d+ values in \d+ records, .*oldest \d+ s ago/,
      );
      const ready = await line.get("/readyz");
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({ ready: true, uplink: "down" });
      await line.platform.up();
      await until("the value is acknowledged", async () => {
        const { store, uplink } = await line.status();
        const { acknowledged, queued } = store.ledger;
        return acknowledged >= 2 && queued === 0 && uplink.reconnects === 1;
      });
    },
    TIMEOUT_MS,
  );
});

describe("no secret is shown", () => {
  const secrets = {
    token: "T0KEN-5ECRET-8841",
    password: "pa55word-5ecret-8842",
  };

  test(
    "in any view, not even where an error holds one",
    async () => {
      await using line = await makeLine({
        thingsboard: { security: { accessToken: secrets.token } },
        mqtt: {
          broker: {
            // A name that nobody resolves: the error holds the secret.
            host: `${secrets.password}.invalid`,
            security: { type: "basic", username: "plant", password: "${env:PLANTED}" },
          },
        },
      });
      line.gateway.start([], { env: { PLANTED: secrets.password } });
      const socket = join(line.gateway.dir, "data/tbgw.sock");
      await until("the gateway shows itself", () => existsSync(socket));
      await until("the platform refuses the token", async () => {
        const { link } = await line.status();
        return link.state === "refused";
      });
      await until("the broker is not found", async () => {
        const { connectors } = await line.status();
        return connectors[0]?.detail !== undefined;
      });
      const views = await Promise.all([
        ...[[], ["--json"], ["--devices"], ["--connector", "Plant broker"]].map(
          async (args) => (await line.tbgw(...args)).out,
        ),
        (await line.tbgw("--connector", "Plant broker", "--json")).out,
        ...["/", "/metrics", "/healthz", "/readyz", "/nothing"].map(async (path) =>
          (await line.get(path)).text(),
        ),
      ]);
      for (const view of views) {
        expect(view.length).toBeGreaterThan(10);
        for (const secret of Object.values(secrets)) {
          expect(view.toLowerCase()).not.toContain(secret.toLowerCase());
        }
      }
      expect(statSync(socket).mode & 0o777).toBe(0o600);
    },
    TIMEOUT_MS,
  );
});

describe("tbgw status", () => {
  test(
    "says that no gateway runs, what to do, and ends with 1; also after kill -9, and then works again",
    async () => {
      await using line = await makeLine();
      const before = await line.tbgw();
      expect(before.code).toBe(1);
      expect(before.err).toContain("No gateway runs with the data directory");
      expect(before.err).toContain(`tbgw run --data ${join(line.gateway.dir, "data")}`);
      const socket = join(line.gateway.dir, "data/tbgw.sock");
      line.gateway.start();
      await until("the socket is there", () => existsSync(socket));
      await until("it answers", async () => (await line.tbgw()).code === 0);
      await line.gateway.stop("SIGKILL");
      expect(existsSync(socket)).toBe(true);
      expect((await line.tbgw("--json")).code).toBe(1);
      line.gateway.start();
      await until("the dead socket is replaced", async () => (await line.tbgw()).code === 0);
      expect(await line.gateway.stop()).toBe(0);
      expect(existsSync(socket)).toBe(false);
    },
    TIMEOUT_MS,
  );

  test("has help with examples, and knows its options", async () => {
    const { code, out } = await tbgw(["status", "--help"]);
    expect(code).toBe(0);
    for (const text of ["--json", "--watch", "--data", "--devices", "--connector", "Examples:"]) {
      expect(out).toContain(text);
    }
    expect((await tbgw(["status", "--jsn"])).code).toBe(2);
  });

  test(
    "--watch looks again and again, one JSON object a line for scripts",
    async () => {
      await using line = await startLine();
      const data = join(line.gateway.dir, "data");
      const child = Bun.spawn([BINARY, "status", "--data", data, "--watch", "--json"], {
        env: {},
        stdout: "pipe",
        stderr: "inherit",
      });
      let text = "";
      for await (const chunk of child.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text.split("\n").length > 2) {
          child.kill("SIGINT");
        }
      }
      expect(await child.exited).toBe(0);
      const lines = text.trimEnd().split("\n");
      expect(lines.length).toBeGreaterThanOrEqual(2);
      expect(lines.map((one) => JSON.parse(one).delivery)).toEqual(lines.map(() => "answering"));
    },
    TIMEOUT_MS,
  );
});

describe("the web server of the gateway", () => {
  test(
    "never costs the gateway its start: a port that is taken is a warning",
    async () => {
      await using first = await startLine();
      await using second = await startLine({ tbgw: { web: { port: first.webPort } } });
      expect(second.gateway.output).toContain("The web server cannot listen");
      await second.publish("plant/Device 0/data", '{"seq":1,"value":2}');
      await until("data flows", async () => (await second.status()).store.ledger.acknowledged >= 2);
      expect(await (await first.get("/healthz")).json()).toMatchObject({ alive: true });
    },
    TIMEOUT_MS,
  );

  test(
    "can be switched off, and listens on this machine alone by default",
    async () => {
      await using off = await startLine({ tbgw: { web: { enabled: false } } });
      expect(off.gateway.output).not.toContain("Web server listens");
      await using on = await startLine();
      expect(on.gateway.output).toContain('Web server listens host="127.0.0.1"');
    },
    TIMEOUT_MS,
  );
});
