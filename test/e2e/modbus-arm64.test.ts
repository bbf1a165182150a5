// The serial port inside the ARM64 program, executed under user-mode emulation, against pymodbus.
import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { PtyPair } from "../support/pty-pair.ts";
import { ReadyProcess } from "../support/ready-process.ts";

const BINARY = resolve(import.meta.dir, "../../dist/tbgw-linux-arm64");
/** Emulation is slow. */
const TIMEOUT_MS = 120_000;

test(
  "the arm64 program reads an RTU slave over a serial port",
  async () => {
    await using pair = await PtyPair.open();
    const server = { kind: "serial", framer: "rtu", port: pair.theirs, baudrate: 9600, units: [3] };
    await using _server = await ReadyProcess.python("modbus-peer.py", JSON.stringify(server));
    const command = ["probe", "modbus", pair.ours, "--baudrate", "9600", "--parity", "E"];
    const rest = ["--unit", "3", "--registers", "0-5", "--timeout", "5000", "--json"];
    const child = Bun.spawn(
      ["/usr/bin/qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", BINARY, ...command, ...rest],
      { env: {}, stdout: "pipe", stderr: "inherit" },
    );
    const out = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(out).toContain("Unit 3 answers");
    expect(out).toContain("holding registers 0 to 5: 0=3000 1=3001 2=3002 3=3003 4=3004 5=3005");
  },
  TIMEOUT_MS,
);
