// The compiled gateway under real service managers, in a machine of its own.
import { describe, expect, test } from "bun:test";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { type Ended, ServiceSandbox } from "../support/service-sandbox.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;

/** Lines of an installation that say something was changed. */
function changes({ out }: Ended): readonly string[] {
  return out.split("\n").filter((line) => /^(wrote|rewrote|made|gave|linked|runs)/.test(line));
}

/** Whether a gateway was started with the setting that keeps an idle processor asleep. */
async function isQuiet(sandbox: ServiceSandbox, pid: number | undefined): Promise<boolean> {
  const { out } = await sandbox.run(`tr '\\0' '\\n' </proc/${pid}/environ`);
  return out.split("\n").includes("MIMALLOC_PURGE_HOLES_MIN_INTERVAL=30000");
}

describe("tbgw service", () => {
  test(
    "under OpenRC: starts as its own user, comes back after a kill, reloads, stops, goes without a trace",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure();
      const installed = await sandbox.run("tbgw service install --openrc");
      expect(installed).toMatchObject({ code: 0 });
      expect(installed.out).toContain("wrote      /etc/init.d/tbgw");
      const first = await sandbox.nextGateway();
      const status = (await sandbox.run(`cat /proc/${first}/status`)).out;
      expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).toBe((await sandbox.run("id -u tbgw")).out.trim());
      expect(/^CapEff:\t(\w+)/m.exec(status)?.[1]).toBe("0000000000000000");
      expect(changes(await sandbox.run("tbgw service install --openrc --no-start"))).toEqual([]);
      expect(await sandbox.run("rc-service tbgw status")).toMatchObject({ code: 0 });
      const said = await sandbox.run("tbgw service status");
      expect([said.code, said.out.split("\n")[0]]).toEqual([0, "openrc: started"]);
      expect(await sandbox.run("rc-service tbgw reload")).toMatchObject({ code: 0 });
      expect(await isQuiet(sandbox, first)).toBe(true);
      await sandbox.run(`kill -9 ${first}`);
      const second = await sandbox.nextGateway(first);
      expect(second).not.toBe(first);
      const log = await readFile(join(sandbox.dir, "state/tbgw/logs/tbgw.log"), "utf8");
      expect(log).toContain("Gateway is running");
      expect(await sandbox.run("rc-service tbgw stop")).toMatchObject({ code: 0 });
      expect(await sandbox.gateways()).toBe(0);
      expect((await sandbox.run("rc-service tbgw status")).code).toBe(3);
      expect((await sandbox.run("tbgw service status")).code).toBe(1);
      expect(await sandbox.run("tbgw service uninstall")).toMatchObject({ code: 0 });
      const left = await sandbox.run("ls /etc/init.d/tbgw /etc/conf.d/tbgw /etc/runlevels/*/tbgw");
      expect(left.out.match(/No such file/g)).toHaveLength(3);
      const kept = await sandbox.run("ls /etc/tbgw/tb_gateway.json /var/lib/tbgw/events.db");
      expect(kept).toMatchObject({ code: 0 });
      expect(await sandbox.run("tbgw service uninstall")).toMatchObject({
        code: 0,
        out: "No service is installed: nothing to do.\n",
      });
    },
    TIMEOUT_MS,
  );

  test(
    "under OpenRC: a configuration that cannot be used is said at the start",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure();
      await sandbox.run("tbgw service install --openrc --no-start");
      await writeFile(join(sandbox.dir, "etc/tbgw/tb_gateway.json"), "{ broken");
      const started = await sandbox.run("rc-service tbgw start");
      expect(started.code).toBe(1);
      expect(started.out).toContain("The gateway cannot start with this configuration.");
    },
    TIMEOUT_MS,
  );

  test(
    "under OpenRC: two capabilities for Bluetooth, the group of the port for a serial line, nothing else",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      const slave = { type: "serial", port: "/dev/ttyUSB7", unitId: 1, deviceName: "Meter" };
      await sandbox.configure({
        connectors: [
          { type: "ble", config: { devices: [] } },
          { type: "modbus", config: { master: { slaves: [slave] } } },
        ],
      });
      const installed = await sandbox.run("tbgw service install --openrc");
      expect(installed).toMatchObject({ code: 0 });
      const pid = await sandbox.nextGateway();
      const status = (await sandbox.run(`cat /proc/${pid}/status`)).out;
      expect(/^CapEff:\t(\w+)/m.exec(status)?.[1]).toBe("0000000000003000");
      expect(/^CapBnd:\t(\w+)/m.exec(status)?.[1]).toBe("0000000000003000");
      const dialout = (await sandbox.run("getent group dialout")).out.split(":")[2];
      expect(/^Groups:\t(.*)$/m.exec(status)?.[1]?.split(" ")).toContain(dialout ?? "");
      expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe("0");
    },
    TIMEOUT_MS,
  );

  test(
    "under cron: once and only once, again after a kill, whatever lies about of an earlier life",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure();
      await sandbox.run("tbgw service install --cron --no-start");
      // As after a power cut: the files of a lock that nobody holds, and the number of a process that is somebody else.
      await sandbox.run("touch /var/lib/tbgw/service.lock; echo 1 >/var/lib/tbgw/service.pid");
      await sandbox.run("chown tbgw /var/lib/tbgw/service.*");
      const table = join(sandbox.dir, "etc/cron.d/calls");
      await writeFile(table, "* * * * * root echo x >>/var/log/calls\n");
      // Each second is half a minute to cron; what it starts has the clock of everybody.
      const faketime = "/usr/lib/*/faketime/libfaketimeMT.so.1";
      await sandbox.run(`LD_PRELOAD=$(echo ${faketime}) FAKETIME='+0 x30' cron`);
      const first = await sandbox.nextGateway();
      const calls = async (): Promise<number> =>
        (await sandbox.run("cat /var/log/calls 2>/dev/null")).out.length / 2;
      await until("cron has called several times", async () => (await calls()) >= 3, 60_000);
      expect(await sandbox.gateways()).toBe(1);
      expect(await sandbox.gatewayPid()).toBe(first);
      expect(await isQuiet(sandbox, first)).toBe(true);
      const more = await Promise.all(
        Array.from({ length: 4 }, () =>
          sandbox.run("su -s /bin/sh tbgw -c /usr/local/lib/tbgw/cron.sh"),
        ),
      );
      expect(more.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
      await sandbox.run(`kill -9 ${first}`);
      const second = await sandbox.nextGateway(first);
      expect(await sandbox.gateways()).toBe(1);
      expect((await sandbox.run("tbgw service status")).out).toStartWith(`cron: process ${second}`);
      expect(changes(await sandbox.run("tbgw service install --no-start --cron"))).toEqual([]);
      expect(await sandbox.run("tbgw service uninstall")).toMatchObject({ code: 0 });
      await until("the gateway has ended", async () => (await sandbox.gateways()) === 0);
      expect((await sandbox.run("ls /etc/cron.d/tbgw")).code).toBe(2);
    },
    TIMEOUT_MS,
  );

  test(
    "under cron: a gateway that starts itself again keeps its lock",
    async () => {
      await using platform = await ThingsBoardDouble.listen({ clock: systemClock });
      platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure({
        platformPort: platform.port,
        connectors: [{ type: "ble", config: { devices: [] } }],
      });
      const installed = await sandbox.run("tbgw service install --cron");
      expect(installed).toMatchObject({ code: 0 });
      expect(installed.out).not.toContain("setcap");
      const connected = async (): Promise<boolean> =>
        (await sandbox.run("tbgw status --json")).out.includes('"state": "connected"');
      await until("the platform is reached", connected);
      const pid = await sandbox.gatewayPid();
      // What the configured adapter needs, and nothing else.
      const status = (await sandbox.run(`cat /proc/${pid}/status`)).out;
      expect(/^CapEff:\t(\w+)/m.exec(status)?.[1]).toBe("0000000000003000");
      expect(/^CapBnd:\t(\w+)/m.exec(status)?.[1]).toBe("0000000000003000");
      expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).toBe((await sandbox.run("id -u tbgw")).out.trim());
      await platform.rpc("gateway", "gateway_restart", 1);
      const log = join(sandbox.dir, "state/tbgw/logs/tbgw.log");
      await until("it has started again", async () =>
        (await readFile(log, "utf8")).includes("Gateway starts again"),
      );
      await until("the platform is reached again", connected);
      const command = "su -s /bin/sh tbgw -c /usr/local/lib/tbgw/cron.sh";
      expect(await sandbox.run(command)).toMatchObject({ code: 0 });
      expect(await sandbox.run("flock -n /var/lib/tbgw/service.lock true")).toMatchObject({
        code: 1,
      });
      expect([await sandbox.gateways(), await sandbox.gatewayPid()]).toEqual([1, pid]);
    },
    TIMEOUT_MS,
  );

  test(
    "under cron without root: in the crontab of a user, beside what is there",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure({ connectors: [{ type: "ble", config: { devices: [] } }] });
      const home = "/var/lib/worker";
      const made = await sandbox.run(
        `useradd --create-home --home-dir ${home} --shell /bin/sh worker && chgrp crontab /var/spool/cron/crontabs && chmod 1730 /var/spool/cron/crontabs &&
         mkdir ${home}/bin && cp /usr/local/bin/tbgw ${home}/bin && mv /etc/tbgw ${home}/config && chown -R worker ${home}`,
      );
      expect(made).toMatchObject({ code: 0 });
      const asWorker = (command: string): Promise<Ended> =>
        sandbox.run(`su - worker -c "${command}"`);
      await asWorker("echo '0 3 * * * backup' | crontab -");
      const installed = await asWorker("bin/tbgw service install --cron --no-start");
      expect(installed.out).toContain("tbgw is a service of cron, run by worker.");
      expect(installed.code).toBe(0);
      const [setcap = ""] = /(?<=sudo )setcap .*/.exec(installed.out) ?? [];
      expect(setcap).toBe(`setcap cap_net_raw,cap_net_admin+ep ${home}/bin/tbgw`);
      // Afterwards: with its fast clock it would not see a table that changes in the second in which it has read the tables.
      await sandbox.run(
        "LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1) FAKETIME='+0 x30' cron",
      );
      const running = async (): Promise<string> =>
        (await asWorker("bin/tbgw service status")).out.split("\n")[0] ?? "";
      await until(
        "cron has started it",
        async () => (await running()).startsWith("cron: process"),
        60_000,
      );
      const first = await running();
      const pid = first.slice("cron: process ".length);
      expect((await sandbox.run(`stat -c %U /proc/${pid}`)).out).toBe("worker\n");
      // The next one runs with what root was asked to type.
      expect(await sandbox.run(setcap)).toEqual({ code: 0, out: "" });
      await asWorker(`kill -9 ${pid}`);
      await until(
        "cron has started it again",
        async () =>
          ![first, ""].includes(await running()) && (await running()).startsWith("cron: process"),
        60_000,
      );
      const second = (await running()).slice("cron: process ".length);
      const { out } = await sandbox.run(`grep CapEff /proc/${second}/status`);
      expect(out).toBe("CapEff:\t0000000000003000\n");
      const again = await asWorker("bin/tbgw service install --cron --no-start");
      expect([changes(again), again.out.includes("setcap")]).toEqual([[], false]);
      await sandbox.run(`printf '#!/bin/sh\\n' >${home}/other`);
      const sum = (await sandbox.run(`sha256sum ${home}/other`)).out.slice(0, 64);
      const refused = await asWorker(`bin/tbgw upgrade other --sha256 ${sum}`);
      expect(refused.out).toContain(`sudo setcap cap_net_admin,cap_net_raw=ep ${home}/bin/tbgw`);
      expect(refused.code).toBe(2);
      expect(await asWorker("bin/tbgw service uninstall")).toMatchObject({ code: 0 });
      expect((await asWorker("crontab -l")).out).toBe("0 3 * * * backup\n");
      expect((await sandbox.run("pgrep -f '[b]in/tbgw run'")).out).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    "for systemd: a unit that systemd finds nothing wrong with, also with all that devices need",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      const unit = "/etc/systemd/system/tbgw.service";
      for (const ble of [false, true]) {
        const radio = { type: "ble", config: { devices: [] } };
        await sandbox.configure({ connectors: ble ? [radio] : [] });
        // Into the files of an image, which are put in place: nothing here is run by systemd.
        await sandbox.run(
          "mkdir -p /var/lib/image/etc; cp -a /etc/tbgw /etc/passwd /etc/group /var/lib/image/etc",
        );
        const installed = await sandbox.run("tbgw service install --systemd --root /var/lib/image");
        expect(installed).toMatchObject({ code: 0 });
        await sandbox.run(
          `cp /var/lib/image${unit} ${unit}; cp /var/lib/image/etc/passwd /var/lib/image/etc/group /etc`,
        );
        expect(await sandbox.run(`systemd-analyze verify ${unit}`)).toEqual({ code: 0, out: "" });
        const { out } = await sandbox.run(`cat ${unit}`);
        expect(out.includes("AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN\n")).toBe(ble);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "is refused without root, with the command to type, and never twice at once",
    async () => {
      await using sandbox = await ServiceSandbox.open();
      await sandbox.configure();
      const refused = await sandbox.run(
        "su -s /bin/sh nobody -c 'tbgw service install --systemd --config /etc/tbgw'",
      );
      expect(refused.code).toBe(2);
      expect(refused.out).toContain("sudo tbgw service install --systemd --config /etc/tbgw");
      await sandbox.run("tbgw service install --openrc --no-start");
      const second = await sandbox.run("tbgw service install --cron");
      expect(second.code).toBe(2);
      expect(second.out).toContain("tbgw service uninstall --openrc comes first");
      await rename(join(sandbox.dir, "etc/tbgw"), join(sandbox.dir, "etc/elsewhere"));
      const without = await sandbox.run("tbgw service install --openrc");
      expect(without.code).toBe(3);
    },
    TIMEOUT_MS,
  );
});
