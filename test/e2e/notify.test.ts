// The compiled gateway as a service that tells its manager how it is, to a peer that is not ours.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { GatewayProcess } from "../support/gateway-process.ts";
import { NotifyPeer } from "../support/notify-peer.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 60_000;
const FILES = { platformPort: 9, brokerPort: 9 };

test(
  "a service manager hears READY, then WATCHDOG again and again, and STOPPING at the end",
  async () => {
    await using gateway = await GatewayProcess.create(FILES);
    using peer = await NotifyPeer.listen(join(gateway.dir, "notify"));
    gateway.start([], { env: { NOTIFY_SOCKET: peer.place, WATCHDOG_USEC: "900000" } });
    await until("the gateway is ready", () => peer.count("READY=1") === 1);
    await until("the watchdog is fed", () => peer.count("WATCHDOG=1") >= 3);
    expect(peer.messages.at(-1)).toMatch(
      /STATUS=Platform \w+, 1 of 1 connectors running, 0 values wait/,
    );
    expect(await gateway.stop()).toBe(0);
    await until("it says that it stops", () => peer.messages.at(-1) === "STOPPING=1");
    expect(peer.count("STOPPING=1")).toBe(1);
  },
  TIMEOUT_MS,
);

test(
  "a socket without a file is reached too, and a watchdog of another process is not fed",
  async () => {
    await using gateway = await GatewayProcess.create(FILES);
    using peer = await NotifyPeer.listen(`@tbgw-notify-${process.pid}`);
    const env = { NOTIFY_SOCKET: peer.place, WATCHDOG_USEC: "300000", WATCHDOG_PID: "1" };
    gateway.start([], { env });
    await until("its state is told", () => peer.count("STATUS=Platform") === 1);
    expect(peer.count("WATCHDOG=1")).toBe(0);
    expect(await gateway.stop()).toBe(0);
    await until("it says that it stops", () => peer.count("STOPPING=1") === 1);
  },
  TIMEOUT_MS,
);

test(
  "a configuration that cannot be used ends with exit code 3, and READY is never said",
  async () => {
    await using gateway = await GatewayProcess.create({
      ...FILES,
      thingsboard: { security: { type: "accessToken" } },
    });
    using peer = await NotifyPeer.listen(join(gateway.dir, "notify"));
    gateway.start([], { env: { NOTIFY_SOCKET: peer.place } });
    await until("it has ended", () => gateway.hasEnded);
    expect(await gateway.stop()).toBe(3);
    expect(peer.messages).toEqual([]);
  },
  TIMEOUT_MS,
);
