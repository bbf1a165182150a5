// The compiled gateway as a unit of a real systemd, which is the first process of a machine of its own.
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ServiceSandbox } from "../support/service-sandbox.ts";
import { canRunSystemd } from "../support/systemd-machine.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 120_000;
/** The kernel may forbid it, in a container; everywhere else it has to work. */
const isPossible = canRunSystemd();
if (!isPossible) {
  console.log("systemd: this kernel does not let a systemd of its own start: not executed");
}

/** A property of the unit. */
async function show(sandbox: ServiceSandbox, property: string): Promise<string> {
  return (await sandbox.run(`systemctl show tbgw -p ${property} --value`)).out.trim();
}

test.if(isPossible)(
  "under systemd: ready, watched, back after a kill and after a hang, reloads, stops, goes without a trace",
  async () => {
    await using sandbox = await ServiceSandbox.open("systemd");
    await sandbox.configure();
    const installed = await sandbox.run("tbgw service install");
    expect(installed).toMatchObject({ code: 0 });
    expect(installed.out).toContain("wrote      /etc/systemd/system/tbgw.service");
    // The start waits for READY: nothing else makes a unit of this type active.
    expect([await show(sandbox, "Type"), await show(sandbox, "ActiveState")]).toEqual([
      "notify",
      "active",
    ]);
    const first = await sandbox.nextGateway();
    expect(await show(sandbox, "MainPID")).toBe(String(first));
    expect(await show(sandbox, "StatusText")).toMatch(/^Platform down, 1 of 1 connectors running/);
    const process = (await sandbox.run(`cat /proc/${first}/status`)).out;
    expect(/^Uid:\t(\d+)/m.exec(process)?.[1]).toBe((await sandbox.run("id -u tbgw")).out.trim());
    expect(/^CapEff:\t(\w+)/m.exec(process)?.[1]).toBe("0000000000000000");
    expect((await sandbox.run(`cat /proc/${first}/environ`)).out).toContain("MIMALLOC_PURGE_HOLES");
    expect(await sandbox.run("systemctl reload tbgw")).toMatchObject({ code: 0 });
    const said = await sandbox.run("tbgw service status");
    expect([said.code, said.out.split("\n")[0]]).toEqual([0, "systemd: active"]);
    // What "systemctl edit" writes: less patience than a real machine needs.
    await Bun.write(
      join(sandbox.dir, "etc/systemd/system/tbgw.service.d/override.conf"),
      "[Service]\nWatchdogSec=3\nRestartSec=100ms\n",
    );
    await sandbox.run(`systemctl daemon-reload; kill -9 ${first}`);
    const second = await sandbox.nextGateway(first);

    const fed = await show(sandbox, "WatchdogTimestampMonotonic");
    await until(
      "the watchdog is fed",
      async () => (await show(sandbox, "WatchdogTimestampMonotonic")) !== fed,
    );
    await sandbox.run(`kill -STOP ${second}`);
    await sandbox.nextGateway(second);
    const journal = await sandbox.run("journalctl -u tbgw --no-pager");
    expect(journal.out).toContain("Watchdog timeout (limit 3s)!");

    expect(await sandbox.run("systemctl stop tbgw")).toMatchObject({ code: 0 });
    expect([await show(sandbox, "Result"), await sandbox.gateways()]).toEqual(["success", 0]);
    expect(await sandbox.run("tbgw service uninstall")).toMatchObject({ code: 0 });
    const left = await sandbox.run("systemctl cat tbgw; ls /var/lib/tbgw/events.db");
    expect(left.out).toContain("No files found for tbgw.service");
    expect(left.out).toEndWith("/var/lib/tbgw/events.db\n");
  },
  TIMEOUT_MS,
);

test.if(isPossible)(
  "under systemd: a serial port may be of any kind, and its driver may come later",
  async () => {
    await using sandbox = await ServiceSandbox.open("systemd");
    const slave = { type: "serial", unitId: 1, deviceName: "Meter" };
    const timeseries = [{ tag: "a", type: "16uint", functionCode: 3, address: 1, objectsCount: 1 }];
    // No driver of this machine has these numbers: that of USB adapters, and one that makers choose themselves.
    const ports = ["/dev/ttyUSB7", "/dev/ttyTHS1"];
    const slaves = ports.map((port) => ({ ...slave, port, timeseries }));
    await sandbox.configure({
      connectors: [
        { type: "modbus", config: { master: { slaves } } },
        { type: "ble", config: { devices: [] } },
      ],
    });
    await sandbox.run(
      "mknod -m 660 /dev/ttyUSB7 c 188 7; mknod -m 660 /dev/ttyTHS1 c 233 1; chgrp dialout /dev/tty?*[0-9]",
    );
    expect(await sandbox.run("tbgw service install")).toMatchObject({ code: 0 });
    const journal = async (): Promise<string> =>
      (await sandbox.run("journalctl -u tbgw --no-pager")).out;
    const refusal = (port: string): RegExp => new RegExp(`Cannot open serial port ${port}: .*`);
    await until("both ports were tried", async () => {
      const text = await journal();
      return ports.every((port) => refusal(port).test(text));
    });
    const text = await journal();
    for (const port of ports) {
      // What a port without a driver says; systemd says EPERM.
      expect(refusal(port).exec(text)?.[0]).toContain("ENXIO");
    }
    expect(await show(sandbox, "RestrictAddressFamilies")).toContain("AF_BLUETOOTH");
    const pid = await sandbox.nextGateway();
    const process = (await sandbox.run(`cat /proc/${pid}/status`)).out;
    expect(/^CapEff:\t(\w+)/m.exec(process)?.[1]).toBe("0000000000003000");
    expect(await readFile(join(sandbox.dir, "etc/group"), "utf8")).toMatch(/^dialout:.*tbgw/m);
  },
  TIMEOUT_MS,
);
