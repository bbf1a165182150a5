import { describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { Greeter } from "../support/greeter.ts";
import { freePort } from "../support/ports.ts";
import { ScriptedBroker } from "../support/scripted-broker.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const HOST = "127.0.0.1";
const TIMEOUT_MS = 20_000;

/** A second node of the same platform. */
async function node(): Promise<ThingsBoardDouble> {
  const server = await ThingsBoardDouble.listen({ clock: systemClock });
  server.createGateway("GW", "gw-token");
  return server;
}

async function connected(rig: UplinkRig): Promise<void> {
  await rig.until("it is connected", () => rig.session.state.link === "connected", TIMEOUT_MS);
}

describe("two hosts", () => {
  test(
    "the second is used within 10 s of the wall clock when nothing listens on the first",
    async () => {
      await using rig = await UplinkRig.open({ idle: true, speed: 1 });
      const { port } = rig.server;
      await using late = await UplinkRig.open({
        idle: true,
        speed: 1,
        settings: {
          hosts: [
            { host: HOST, port: await freePort() },
            { host: HOST, port },
          ],
        },
      });
      const startMs = performance.now();
      late.start();
      await late.until("it waits", () => late.session.state.retryAt !== undefined);
      const { link, detail, retryAt = 0, host } = late.session.state;
      expect(link).toBe("down");
      expect(detail).toContain("nothing listens");
      expect(host).toStartWith(`${HOST}:`);
      expect(retryAt - systemClock.now()).toBeWithin(0, 1001);
      await connected(late);
      expect(late.session.state).toMatchObject({ host: `${HOST}:${port}`, retryAt: undefined });
      expect(performance.now() - startMs).toBeLessThan(10_000);
    },
    TIMEOUT_MS,
  );

  test(
    "the second is used within 10 s when the first takes connections and says nothing",
    async () => {
      await using silent = await Greeter.open("");
      await using rig = await UplinkRig.open({ idle: true });
      const { port } = rig.server;
      await using late = await UplinkRig.open({
        speed: 1,
        settings: {
          hosts: [
            { host: HOST, port: silent.port },
            { host: HOST, port },
          ],
        },
      });
      const startMs = performance.now();
      await connected(late);
      expect(performance.now() - startMs).toBeLessThan(10_000);
      await late.put([telemetry("A", 1_700_000_000_000, 1)]);
      await late.emptied();
      expect(rig.server.series("A", "n")).toHaveLength(1);
    },
    TIMEOUT_MS,
  );

  test("a node that goes down is left for the other, and the other for it, with nothing lost", async () => {
    await using first = await node();
    await using second = await node();
    const hosts = [first, second].map(({ port }) => ({ host: HOST, port }));
    await using rig = await UplinkRig.open({ settings: { hosts } });
    await connected(rig);
    expect(rig.session.state.host).toBe(`${HOST}:${first.port}`);
    await rig.put([telemetry("A", 1_700_000_000_000, 1)]);
    await first.down();
    await rig.put([telemetry("A", 1_700_000_000_001, 2)]);
    await rig.emptied();
    expect(rig.session.state.host).toBe(`${HOST}:${second.port}`);
    await first.up();
    await second.down();
    await rig.put([telemetry("A", 1_700_000_000_002, 3)]);
    await rig.emptied();
    expect(rig.session.state.host).toBe(`${HOST}:${first.port}`);
    const arrived = [first, second].flatMap((server) =>
      server.series("A", "n").map(({ text }) => text),
    );
    expect(new Set(arrived)).toEqual(new Set(["1", "2", "3"]));
  });

  test("a slow host is given longer once the short wait has failed three times", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 40 });
    // Longer than the short wait, shorter than the long one, at this speed.
    rig.server.faults.connackDelayMs = 150;
    const { port } = rig.server;
    await using slow = await UplinkRig.open({
      speed: 40,
      settings: {
        hosts: [
          { host: HOST, port },
          { host: "localhost", port },
        ],
      },
    });
    await connected(slow);
    expect(rig.server.counters().connections).toBeGreaterThan(3);
  });
});

describe("a name with several addresses", () => {
  test("has them tried in turn, and is looked up again after the last", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    const asked: string[] = [];
    let addresses = ["127.0.0.2", "::1"];
    await using named = await UplinkRig.open({
      speed: 100,
      settings: { hosts: [{ host: "platform.example", port: rig.server.port }] },
      session: {
        lookup: (host) => {
          asked.push(host);
          const found = addresses;
          addresses = ["127.0.0.3", HOST];
          return Promise.resolve(found);
        },
      },
    });
    await connected(named);
    expect(asked).toEqual(["platform.example", "platform.example"]);
    expect(named.session.state.host).toBe(`platform.example:${rig.server.port}`);
  });

  test("that does not exist is said, and the other host is used", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    const { port } = rig.server;
    await using named = await UplinkRig.open({
      settings: {
        hosts: [
          { host: "nowhere.invalid", port },
          { host: "localhost", port },
        ],
      },
      session: {
        lookup: (host) =>
          host === "localhost" ? Promise.resolve([HOST]) : Promise.reject(new Error("ENOTFOUND")),
      },
    });
    await named.until("it failed", () => named.session.state.link === "down");
    expect(named.session.state.detail).toContain("Cannot find the address of nowhere.invalid");
    await connected(named);
  });
});

describe("keep-alive", () => {
  test("is the server's where it sets one", async () => {
    await using broker = await ScriptedBroker.listen(() => ({
      connack: { properties: { serverKeepAlive: 2 } },
    }));
    await using _rig = await UplinkRig.open({
      speed: 10,
      settings: { hosts: [{ host: HOST, port: broker.port }], keepAliveSeconds: 600 },
    });
    const peer = await broker.peer();
    const startMs = performance.now();
    await peer.packet("pingreq", 3);
    // Three pings of 1.5 s, at ten times the speed; at its own keep-alive the first would come after 45 s.
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(peer.of("connect")[0]?.keepalive).toBe(600);
  });

  test("a server that reads and answers nothing is left after a ping and 5 s", async () => {
    await using rig = await UplinkRig.open({ speed: 10, settings: { keepAliveSeconds: 4 } });
    await connected(rig);
    rig.server.faults.processing.close();
    const startMs = performance.now();
    await rig.until("it noticed", () => rig.session.state.link === "down");
    // A ping after 3 s at the latest, 5 s for its answer, at ten times the speed.
    expect(performance.now() - startMs).toBeLessThan(1500);
    expect(rig.session.state.detail).toContain("does not answer a ping");
    rig.server.faults.processing.open();
    await connected(rig);
  });

  test("a cable that carries nothing any more is noticed without data", async () => {
    await using rig = await UplinkRig.open({ speed: 10, settings: { keepAliveSeconds: 4 } });
    await connected(rig);
    rig.server.faults.reading.close();
    await rig.until("it noticed", () => rig.session.state.link === "down");
    expect(rig.session.state.detail).toContain("does not answer a ping");
    rig.server.faults.reading.open();
    await connected(rig);
  });
});
