import { describe, expect, test } from "bun:test";
import {
  isPlain,
  needsOf,
  readRecord,
  recordLine,
  type ServicePlan,
  serialGroups,
} from "../../../src/commands/service-plan.ts";
import {
  cronTable,
  mergeSettings,
  openrcScript,
  systemdUnit,
  withoutCronLines,
} from "../../../src/commands/service-texts.ts";

const PLAN: ServicePlan = {
  kind: "systemd",
  user: "tbgw",
  binary: "/usr/local/bin/tbgw",
  configDir: "/etc/tbgw",
  dataDir: "/var/lib/tbgw",
  bluetooth: false,
  groups: [],
};

describe("what the connectors need of the machine", () => {
  const of = (type: string, config: unknown) => needsOf([{ type, raw: undefined, config }]);

  test("needsOf() finds serial ports wherever a configuration names them", () => {
    const config = { master: { slaves: [{ port: "/dev/ttyUSB1" }, { port: 502 }] } };
    expect(of("modbus", config)).toEqual({ bluetooth: false, serialPorts: ["/dev/ttyUSB1"] });
    const port = { adapter: "serial:/dev/ttyS1@115200" };
    expect(of("ble", port)).toEqual({ bluetooth: false, serialPorts: ["/dev/ttyS1"] });
  });

  test("needsOf() asks for Bluetooth only where the kernel manages the adapter", () => {
    expect(of("ble", { devices: [] }).bluetooth).toBe(true);
    expect(of("ble", { adapter: "hci1" }).bluetooth).toBe(true);
    expect(of("ble", { adapter: "tcp:10.0.0.5:9000" }).bluetooth).toBe(false);
    expect(of("mqtt", { adapter: "hci1" }).bluetooth).toBe(false);
  });

  test("serialGroups() takes the usual group of the system for a port that is not there", () => {
    const debian = "root:x:0:\ndialout:x:20:\n";
    expect(serialGroups(["/dev/ttyUSB77"], debian)).toEqual(["dialout"]);
    expect(serialGroups(["/dev/ttyUSB77"], "uucp:x:14:\n")).toEqual(["uucp"]);
    expect(serialGroups([], debian)).toEqual([]);
  });
});

describe("the files of a service", () => {
  test("readRecord() gives back what was installed, from every kind of file", () => {
    for (const text of [systemdUnit(PLAN), openrcScript(PLAN)]) {
      expect(readRecord(text)).toEqual(PLAN);
    }
    expect(readRecord("[Unit]\nDescription=of somebody else\n")).toBeUndefined();
    expect(readRecord(`${recordLine(PLAN).slice(0, -3)}\n`)).toBeUndefined();
  });

  test("systemdUnit() gives capabilities and devices only to who needs them", () => {
    const plain = systemdUnit(PLAN);
    expect(plain).toContain("\nCapabilityBoundingSet=\nAmbientCapabilities=\n");
    expect(plain).toContain("\nPrivateDevices=yes\n");
    const all = systemdUnit({ ...PLAN, bluetooth: true, groups: ["dialout"] });
    expect(all).toContain("\nAmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN\n");
    expect(all).toContain("\nSupplementaryGroups=dialout\n");
    expect(all).toContain("AF_BLUETOOTH");
    expect(all).not.toMatch(/^(?:PrivateDevices|Device)/m);
  });

  test("mergeSettings() keeps what a person wrote", () => {
    const before = '# ours\ntbgw_user="old"\nrespawn_delay=30\n';
    expect(mergeSettings(before, { tbgw_user: "tbgw", tbgw_log: "/log" })).toBe(
      '# ours\ntbgw_user="tbgw"\nrespawn_delay=30\ntbgw_log="/log"\n',
    );
  });

  test("withoutCronLines() takes out our lines and no other", () => {
    const others = "MAILTO=me\n0 3 * * * backup\n";
    const table = cronTable(
      { script: "/usr/local/lib/tbgw/cron.sh", binary: "/usr/local/bin/tbgw" },
      "tbgw",
    );
    const ours = table.split("\n").filter((line) => line.endsWith("# tbgw"));
    expect(ours).toHaveLength(3);
    expect(withoutCronLines(`${others}${ours.join("\n")}\n`)).toBe(others);
    expect(withoutCronLines("")).toBe("");
  });

  test("isPlain() refuses what a shell, a unit or a crontab would read otherwise", () => {
    expect(["/etc/tbgw", "/opt/a-b_c.d@1+2"].every(isPlain)).toBe(true);
    expect(["/a b", "/a%b", '/a"b', "/a$b", "/a'b", "/a;b", ""].some(isPlain)).toBe(false);
  });
});
