import { describe, expect, test } from "bun:test";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { SUBSCRIPTIONS } from "../../src/thingsboard/topics.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;

async function connected(rig: UplinkRig): Promise<void> {
  await rig.until("it is connected", () => rig.session.state.link === "connected");
}

describe("a session", () => {
  test("subscribes to exactly what ThingsBoard accepts, after every CONNACK", async () => {
    await using rig = await UplinkRig.open();
    await connected(rig);
    expect(rig.server.sessions()[0]?.filters).toEqual([...SUBSCRIPTIONS]);
    expect(rig.session.state).toMatchObject({ protocol: "5", refusedFilters: [], detail: "" });
    rig.server.kick("GW", 0x98);
    await rig.until("it is down", () => rig.session.state.link !== "connected");
    expect(rig.session.state.detail).toContain("credentials changed");
    await connected(rig);
    expect(rig.server.sessions()[0]?.filters).toEqual([...SUBSCRIPTIONS]);
  });

  test("learns the limits of the server before it publishes", async () => {
    await using rig = await UplinkRig.open({ idle: true });
    rig.server.setLimits({ transportGatewayTelemetryMsgRateLimit: "1000:1,20000:60" });
    rig.start();
    await connected(rig);
    expect(rig.session.state.limits).toMatchObject({
      maxPayloadSize: 65_536,
      maxInflightMessages: 100,
      isGateway: true,
      devices: {
        telemetryMessages: [
          { capacity: 1000, seconds: 1 },
          { capacity: 20_000, seconds: 60 },
        ],
      },
    });
    expect(rig.session.payloadLimit).toBe(65_280);
    expect(rig.session.window).toBe(32);
  });

  test("connects to a server that does not tell its limits", async () => {
    await using rig = await UplinkRig.open({ server: { version: "3.7" } });
    await connected(rig);
    expect(rig.session.payloadLimit).toBe(65_280);
    await rig.put([telemetry("A", TS, 1)]);
    await rig.emptied();
  });

  test("hands downlinks over, RPC id 0 included", async () => {
    await using rig = await UplinkRig.open();
    const seen: string[] = [];
    rig.session.onDownlink((topic, payload) => {
      seen.push(`${topic} ${new TextDecoder().decode(payload)}`);
      const answer = '{"device":"A","id":0,"data":{"ok":true}}';
      rig.session
        .publish("v1/gateway/rpc", answer, new AbortController().signal)
        .catch((error: unknown) => seen.push(String(error)));
    });
    rig.sender.connectDevice("A", "pump");
    await rig.server.until(() => rig.server.sessions()[0]?.children.includes("A") === true);
    expect(await rig.server.rpc("A", "open", { valve: 1 })).toBe('{"ok":true}');
    expect(seen).toEqual([
      'v1/gateway/rpc {"device":"A","data":{"id":0,"method":"open","params":{"valve":1}}}',
    ]);
  });

  test("a message is acknowledged when it was taken, those behind it after it; else it comes again", async () => {
    await using rig = await UplinkRig.open();
    const { server } = rig;
    const taken: PromiseWithResolvers<boolean>[] = [];
    const seen: string[] = [];
    rig.session.onDownlink((_topic, payload) => {
      const text = new TextDecoder().decode(payload);
      seen.push(/gateway_device_renamed|gateway_device_deleted/.exec(text)?.[0] ?? text);
      if (!text.includes("renamed")) {
        return undefined;
      }
      const answer = Promise.withResolvers<boolean>();
      taken.push(answer);
      return answer.promise;
    });
    for (const device of ["A", "B"]) {
      rig.sender.connectDevice(device, "pump");
    }
    await server.until(() => server.sessions()[0]?.children.length === 2);
    server.renameDevice("A", "C");
    server.deleteDevice("B");
    await rig.until("both were handed over", () => seen.length === 2);
    await rig.put([telemetry("D", TS, 1)]);
    await rig.emptied();
    expect(server.pendingRpc("GW")).toHaveLength(2);
    taken[0]?.resolve(false);
    // The one behind it goes on alone.
    await server.until(() => server.pendingRpc("GW").length === 1);
    server.kick("GW", 0x98);
    await rig.until("it came again", () => seen.length === 3);
    taken[1]?.resolve(true);
    await server.until(() => server.pendingRpc("GW").length === 0);
    expect(seen).toEqual([
      "gateway_device_renamed",
      "gateway_device_deleted",
      "gateway_device_renamed",
    ]);
  });

  test("what comes before anybody listens is kept for the first who does", async () => {
    await using rig = await UplinkRig.open();
    rig.sender.connectDevice("A", "pump");
    await rig.server.until(() => rig.server.sessions()[0]?.children.length === 1);
    rig.server.renameDevice("A", "B");
    rig.server.renameDevice("B", "C");
    await rig.put([telemetry("D", TS, 1)]);
    await rig.emptied();
    expect(rig.server.pendingRpc("GW")).toHaveLength(2);
    const seen: string[] = [];
    rig.session.onDownlink((_topic, payload) => {
      seen.push(new TextDecoder().decode(payload));
    });
    await rig.server.until(() => rig.server.pendingRpc("GW").length === 0);
    expect(seen.map((text) => JSON.parse(text).params)).toEqual([{ A: "B" }, { B: "C" }]);
  });

  test("publish() resolves with the code of a refusal, and rejects when the link is lost", async () => {
    await using rig = await UplinkRig.open();
    await connected(rig);
    const { signal } = new AbortController();
    expect(await rig.session.publish("v1/gateway/nothing", "{}", signal)).toBe(0x90);
    rig.server.faults.publish({ action: "cut" }, { topic: "v1/gateway/disconnect" });
    expect(rig.session.publish("v1/gateway/disconnect", '{"device":"A"}', signal)).rejects.toThrow(
      "lost before the PUBACK",
    );
  });

  test("falls back to MQTT 3.1.1, remembers it, and tries MQTT 5 again later", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 300 });
    rig.server.faults.refuseConnect(0x84, 1);
    rig.start();
    for (let connects = 1; connects <= 11; connects += 1) {
      await connected(rig);
      expect(rig.session.state).toMatchObject({ protocol: "3.1.1", connects });
      rig.server.kick("GW", 0);
      await rig.until("it is down", () => rig.session.state.link !== "connected");
    }
    await connected(rig);
    expect(rig.session.state.protocol).toBe("5");
  });

  test("does not take one cut during CONNECT for a server without MQTT 5, but two in a row", async () => {
    await using rig = await UplinkRig.open({ idle: true, speed: 100 });
    rig.server.faults.closeAfter({ packets: 1, times: 1 });
    rig.start();
    await connected(rig);
    expect(rig.session.state.protocol).toBe("5");
    await rig.server.down();
    await rig.until("it is down", () => rig.session.state.link !== "connected");
    rig.server.faults.closeAfter({ packets: 1, times: 2 });
    await rig.server.up();
    await connected(rig);
    expect(rig.session.state.protocol).toBe("3.1.1");
  });

  test("says bad credentials once, in words, and waits 60 s", async () => {
    await using rig = await UplinkRig.open({
      speed: 200,
      settings: { credentials: { kind: "accessToken", accessToken: "wrong" } },
    });
    await rig.until("it was refused", () => rig.session.state.link === "refused");
    expect(rig.session.state.detail).toContain("check the access token");
    const at = performance.now();
    const before = rig.server.counters().connections;
    await rig.server.until(() => rig.server.counters().connections >= before + 2);
    // Two pauses of 60 s, jitter aside, at 200 times the speed.
    expect(performance.now() - at).toBeGreaterThan(400);
    expect(rig.log.messages("error")).toEqual(["Link is refused by the peer"]);
    expect(JSON.stringify(rig.log.records)).not.toContain("wrong");
  });

  test("two clients with one identity: said once with advice, then tried once a minute", async () => {
    await using rig = await UplinkRig.open({ speed: 100, settings: { keepAliveSeconds: 0 } });
    const takeOver = async (connects: number): Promise<void> => {
      await rig.until(
        "it is connected",
        () => rig.session.state.connects === connects && rig.session.isOpen,
      );
      rig.server.kick("GW", 0x8e);
      await rig.until("it is down", () => !rig.session.isOpen);
    };
    await takeOver(1);
    await takeOver(2);
    await rig.until("it is refused", () => rig.session.state.link === "refused");
    expect(rig.session.state.detail).toContain("give each gateway its own device");
    const startMs = performance.now();
    await takeOver(3);
    // 60 s at this speed; the first take-over was answered at once.
    expect(performance.now() - startMs).toBeGreaterThan(500);
    await takeOver(4);
    expect(rig.log.messages("error")).toEqual(["Link is refused by the peer"]);
    expect(rig.log.messages("info").filter((text) => text === "Link is up again").length).toBe(1);
    await rig.until(
      "it is trusted again",
      () => rig.log.messages("info").filter((text) => text === "Link is up again").length === 2,
    );
    expect(rig.session.state.link).toBe("connected");
  }, 15_000);

  test("tries several hosts in turn", async () => {
    await using other = await ThingsBoardDouble.listen({ clock: systemClock });
    other.createGateway("GW", "gw-token");
    await using dead = await ThingsBoardDouble.listen({ clock: systemClock });
    await dead.down();
    await using rig = await UplinkRig.open({
      settings: {
        hosts: [
          { host: "127.0.0.1", port: dead.port },
          { host: "127.0.0.1", port: other.port },
        ],
      },
    });
    await connected(rig);
    expect(rig.session.state.host).toBe(`127.0.0.1:${other.port}`);
  });

  test("a device that is no gateway is said once, quarantines nothing, and is tried every 60 s", async () => {
    await using rig = await UplinkRig.open({
      idle: true,
      speed: 100,
      settings: {
        credentials: { kind: "accessToken", accessToken: "plain" },
      },
    });
    rig.server.createDevice("Plain", "default", "plain");
    await rig.put([telemetry("A", TS, 1)]);
    rig.start();
    await rig.until("it knows", () => rig.session.state.link === "not-a-gateway");
    expect(rig.session.state.detail).toContain("Is gateway");
    await rig.until("it connects again", () => rig.session.state.connects >= 3);
    expect(rig.log.messages("error")).toEqual(["Link is refused by the peer"]);
    expect(rig.store.stats()).toMatchObject({ records: 1, ledger: { quarantined: 0 } });
    rig.server.deleteDevice("Plain");
    rig.server.createGateway("Plain", "plain");
    await rig.emptied();
    expect(rig.session.state.link).toBe("connected");
  });

  test("user name, password and client id reach the server", async () => {
    await using rig = await UplinkRig.open({
      idle: true,
      settings: {
        credentials: { kind: "usernamePassword", username: "u", password: "p", clientId: "c" },
      },
    });
    rig.server.setCredentials("GW", {
      type: "MQTT_BASIC",
      clientId: "c",
      userName: "u",
      password: "p",
    });
    rig.start();
    await connected(rig);
    expect(rig.server.sessions()[0]).toMatchObject({ clientId: "c", device: "GW" });
  });

  test("pings on a quiet link", async () => {
    await using rig = await UplinkRig.open({ settings: { keepAliveSeconds: 2 } });
    await connected(rig);
    await rig.server.until(
      () => rig.server.transcript().filter(({ packet }) => packet === "pingreq").length >= 2,
    );
    expect(rig.session.state.connects).toBe(1);
  });

  test("says DISCONNECT when it is stopped", async () => {
    const rig = await UplinkRig.open();
    await connected(rig);
    const { server } = rig;
    const transcript: string[] = [];
    const watch = server.until(() => {
      transcript.splice(0, transcript.length, ...server.transcript().map(({ packet }) => packet));
      return transcript.includes("disconnect");
    });
    await rig[Symbol.asyncDispose]();
    await watch;
    expect(rig.session.state.link).toBe("stopped");
  });
});
