// The socket of a Linux adapter: the real kernel says what is missing, and a socket pair stands for an open adapter.
import { dlopen, FFIType, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import { closeSync, readSync, writeSync } from "node:fs";
import {
  bindHciDevice,
  DescriptorChannel,
  hciRefusal,
  openHciDevice,
} from "../../src/platform/hci-device.ts";
import { HciPort } from "../../src/platform/hci-socket.ts";
import { until } from "../support/until.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET_NONBLOCK = 5 | 0o4000;

/** Two ends of a SOCK_SEQPACKET connection: each write is one packet, as with an HCI socket. */
function socketPair(): readonly [number, number] {
  const { symbols } = dlopen("libc.so.6", {
    socketpair: {
      args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr],
      returns: FFIType.i32,
    },
  });
  const fds = new Int32Array(2);
  expect(symbols.socketpair(AF_UNIX, SOCK_SEQPACKET_NONBLOCK, 0, ptr(fds))).toBe(0);
  return [fds[0] ?? -1, fds[1] ?? -1];
}

const EVENT = Uint8Array.of(4, 0x0e, 4, 1, 3, 0x0c, 0);
const RESET = Uint8Array.of(1, 3, 0x0c, 0);

test("packets pass both ways, also when several are waiting or one comes in parts", async () => {
  const [ours, theirs] = socketPair();
  await using port = new HciPort(new DescriptorChannel(ours, "hci0"));
  const packets: Uint8Array[] = [];
  port.onPacket = (packet) => packets.push(packet);
  for (let index = 0; index < 50; index += 1) {
    writeSync(theirs, EVENT);
  }
  writeSync(theirs, EVENT.subarray(0, 3));
  writeSync(theirs, EVENT.subarray(3));
  await until("all packets", () => packets.length === 51);
  expect(packets.every((packet) => Buffer.from(packet).equals(EVENT))).toBe(true);

  port.write(RESET);
  port.write(RESET);
  const buffer = new Uint8Array(100);
  // One packet a read, although two were written.
  expect(readSync(theirs, buffer)).toBe(RESET.length);
  expect(Uint8Array.from(buffer.subarray(0, RESET.length))).toEqual(RESET);
  closeSync(theirs);
});

test("the loss of the adapter is said, its dispose is not", async () => {
  const [ours, theirs] = socketPair();
  const port = new HciPort(new DescriptorChannel(ours, "hci7"));
  closeSync(theirs);
  expect((await port.closed).message).toBe("Bluetooth adapter hci7 is gone");
  await port[Symbol.asyncDispose]();
  await port[Symbol.asyncDispose]();
});

test.each(["user", "raw"] as const)("an adapter that is not there: what helps (%s)", (channel) => {
  // 999 adapters are on no machine; which of the reasons it is depends on its kernel and who runs this.
  expect(() => openHciDevice(999, channel)).toThrow(
    /^Cannot open Bluetooth adapter hci999: .+; (run: |is it plugged in)/,
  );
});

test.each([
  ["down", [0], 0, 0, false],
  ["up, and may be taken down", [16, 0], 0, 0, true],
  ["up, without the permission", [16], 1, 16, false],
  ["up, and taken back at once", [16, 16], 0, 16, false],
  ["away", [19], 0, 19, false],
] as const)("an adapter that is %s", (...[, binds, down, outcome, isTaken]) => {
  const results: number[] = [...binds];
  const requests: unknown[] = [];
  let taken = false;
  const calls = {
    bind: () => results.shift() ?? -1,
    setsockopt: () => 0,
    ioctlNumber: (...args: readonly unknown[]) => {
      requests.push(args);
      return down;
    },
  };
  const onTaken = (): void => {
    taken = true;
  };
  expect(bindHciDevice(calls, 7, { index: 2, channel: "user", onTaken })).toBe(outcome);
  expect(taken).toBe(isTaken);
  // HCIDEVDOWN of the kernel's hci_sock.h, for hci2 alone, and only where the adapter was busy.
  expect(requests).toEqual(binds[0] === 16 ? [[7, 0x400448ca, 2]] : []);
  expect(results).toEqual([]);
});

// Numbers of Linux's errno.h, the same on x64 and ARM64.
test.each([
  [1, "user", "no permission; run: setcap cap_net_raw,cap_net_admin+eip /"],
  [13, "raw", "no permission; run: setcap cap_net_raw,cap_net_admin+eip /"],
  [16, "raw", "it is in use; run: systemctl stop bluetooth; hciconfig hci1 down"],
  [16, "user", "run: systemctl stop bluetooth; hciconfig hci1 down (connections need"],
  [87, "user", "it is in use; run: systemctl stop bluetooth; hciconfig hci1 down"],
  [19, "user", "there is no such adapter; is it plugged in? `hciconfig -a`"],
  [99, "raw", "it has no address; run: btmgmt static-addr"],
  [100, "raw", "it is down; run: hciconfig hci1 up"],
  [132, "user", "it is switched off; run: rfkill unblock bluetooth"],
  [97, "user", "this kernel has no Bluetooth; run: modprobe bluetooth, or use"],
  [93, "raw", "this kernel has no Bluetooth; run: modprobe bluetooth, or use"],
  [5, "user", "error 5; `dmesg` may say more"],
] as const)("error %i on the %s channel is said with what helps", (error, channel, text) => {
  const { message } = hciRefusal("hci1", error, channel);
  expect(message).toStartWith("Cannot open Bluetooth adapter hci1: ");
  expect(message).toContain(text);
});

test.each([
  ["was down", 0, 0],
  ["was up", 114, 0],
  ["cannot be brought up by us, and may be up", 1, 0],
  ["is switched off", 132, 132],
] as const)("a shared adapter that %s", (...[, up, outcome]) => {
  const requests: unknown[] = [];
  const filters: unknown[] = [];
  const calls = {
    bind: (_fd: number, address: Uint8Array) => {
      // AF_BLUETOOTH, hci3, raw channel: `struct sockaddr_hci`.
      expect([...address]).toEqual([31, 0, 3, 0, 0, 0]);
      return 0;
    },
    setsockopt: (...args: readonly unknown[]) => {
      filters.push(args);
      return 0;
    },
    ioctlNumber: (...args: readonly unknown[]) => {
      requests.push(args);
      return up;
    },
  };
  const onTaken = (): void => {
    throw new Error("it is not taken");
  };
  expect(bindHciDevice(calls, 7, { index: 3, channel: "raw", onTaken })).toBe(outcome);
  expect(requests).toEqual([[7, 0x400448c9, 3]]);
  // `struct hci_ufilter`: all types, all events, any opcode.
  const all = Uint8Array.from({ length: 16 }, (_, index) => (index < 12 ? 0xff : 0));
  expect(filters).toEqual([[7, { level: 0, name: 2 }, all]]);
});

test("a shared adapter is never taken down", () => {
  const calls = {
    bind: () => 16,
    setsockopt: () => 0,
    ioctlNumber: (): number => {
      throw new Error("it must not be asked for");
    },
  };
  const onTaken = (): void => undefined;
  expect(bindHciDevice(calls, 7, { index: 0, channel: "raw", onTaken })).toBe(16);
});
