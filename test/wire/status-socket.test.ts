// The local socket that `tbgw status` asks, over real sockets in the file system.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/sdk/clock.ts";
import { createLogger, type LogRecord } from "../../src/sdk/logger.ts";
import { askGateway, NotRunningError } from "../../src/service/status-client.ts";
import { SOCKET_NAME } from "../../src/service/status-protocol.ts";
import { StatusSocket } from "../../src/service/status-socket.ts";
import { until } from "../support/until.ts";

let dir: string;
let records: LogRecord[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-socket-"));
  records = [];
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

function open(
  answer: (request: unknown) => Promise<unknown> = async (request) => ({ request }),
  dataDir = dir,
): Promise<StatusSocket> {
  const sink = (record: LogRecord): void => {
    records.push(record);
  };
  const log = createLogger({ source: "service", level: "info", clock: systemClock, sink });
  return StatusSocket.open({ dataDir, clock: systemClock, log, answer });
}

const status = { get: "status", devices: 3 } as const;

/** Sends text and collects what comes back until the other side closes or `lines` lines are there. */
async function raw(text: string, lines: number): Promise<string> {
  const socket = connect(join(dir, SOCKET_NAME));
  let got = "";
  let closed = false;
  socket.on("data", (chunk) => {
    got += String(chunk);
  });
  socket.on("close", () => {
    closed = true;
  });
  socket.on("error", () => undefined);
  socket.write(text);
  await until("an answer or the end", () => closed || got.split("\n").length > lines);
  socket.destroy();
  return closed && got === "" ? "closed" : got;
}

describe("StatusSocket", () => {
  test("answers a request; only its owner can open it, and nothing is left after it", async () => {
    const path = join(dir, SOCKET_NAME);
    {
      await using _socket = await open();
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(await askGateway<object>(dir, status, systemClock)).toEqual({ request: status });
    }
    expect(existsSync(path)).toBe(false);
    expect(records).toEqual([]);
    await expect(askGateway(dir, status, systemClock)).rejects.toBeInstanceOf(NotRunningError);
  });

  test("takes the place of a socket that a dead process has left", async () => {
    const path = join(dir, SOCKET_NAME);
    const child = Bun.spawn(
      [
        process.execPath,
        "-e",
        `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
      ],
      { stdout: "ignore", stderr: "ignore", env: { ...process.env, BUN_BE_BUN: "1" } },
    );
    await child.exited;
    expect(statSync(path).isSocket()).toBe(true);
    await expect(askGateway(dir, status, systemClock)).rejects.toBeInstanceOf(NotRunningError);
    await using _socket = await open();
    expect(await askGateway<object>(dir, status, systemClock)).toEqual({ request: status });
    expect(records).toEqual([]);
  });

  test("leaves the socket of a living process alone, and says so", async () => {
    const other = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => {
      other.listen(join(dir, SOCKET_NAME), () => resolve());
    });
    {
      await using _socket = await open();
      expect(records.map(({ message }) => message)).toEqual([
        "Cannot open the local socket: tbgw status cannot see this gateway",
      ]);
    }
    expect(existsSync(join(dir, SOCKET_NAME))).toBe(true);
    await new Promise<void>((resolve) => {
      other.close(() => resolve());
    });
  });

  test("a path that is too long for a socket is a warning with advice", async () => {
    await using _socket = await open(undefined, join(dir, "x".repeat(120)));
    expect(records[0]?.level).toBe("warn");
    await rm(dir, { recursive: true });
    await using _other = await open();
    expect(records[1]?.fields["advice"]).toContain("writable");
  });

  test("what an answer throws is the error of that answer", async () => {
    await using _socket = await open(() => Promise.reject(new Error("no such connector")));
    await expect(askGateway(dir, status, systemClock)).rejects.toThrow("no such connector");
  });

  test("requests of one connection are answered in order, rubbish with an error", async () => {
    let first = true;
    await using _socket = await open(async (request) => {
      if (first) {
        first = false;
        await systemClock.sleep(50, new AbortController().signal);
      }
      return request;
    });
    expect(await raw('{"n":1}\nrubbish\n{"n":2}\n', 3)).toMatch(
      /^\{"ok":true,"result":\{"n":1\}\}\n\{"ok":false,"error":".+"\}\n\{"ok":true,"result":\{"n":2\}\}\n$/,
    );
  });

  test("a request without an end is cut off, and others are served meanwhile", async () => {
    await using _socket = await open();
    expect(await raw("x".repeat(100_000), 1)).toBe("closed");
    const silent = Array.from({ length: 10 }, () => connect(join(dir, SOCKET_NAME)));
    expect(await askGateway<object>(dir, status, systemClock)).toEqual({ request: status });
    for (const socket of silent) {
      socket.destroy();
    }
  });
});
