import { describe, expect, test } from "bun:test";
import { connect, createServer, type Socket } from "node:net";
import { openTunnel } from "../../../src/thingsboard/proxy.ts";
import { rejection } from "../../support/rejection.ts";

/** A pair of connected sockets on this machine. */
async function pair(): Promise<{ near: Socket; far: Socket } & AsyncDisposable> {
  const server = createServer();
  const accepted = Promise.withResolvers<Socket>();
  server.once("connection", accepted.resolve);
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const near = connect({ host: "127.0.0.1", port });
  const far = await accepted.promise;
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near.destroy();
      far.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

const never = new AbortController().signal;

/** The first bytes that a socket gives. */
function firstOf(socket: Socket): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  socket.once("data", resolve);
  socket.resume();
  return promise;
}

describe("openTunnel", () => {
  test("asks in the form of the standard, an IPv6 address in brackets", async () => {
    await using line = await pair();
    const asked = firstOf(line.far);
    const opened = openTunnel(line.near, { host: "fe80::1", port: 8883 }, never);
    expect((await asked).toString()).toBe(
      "CONNECT [fe80::1]:8883 HTTP/1.1\r\nHost: [fe80::1]:8883\r\n\r\n",
    );
    line.far.write("HTTP/1.0 200 OK\r\n\r\n");
    await opened;
  });

  test("reads an answer in pieces, and what follows it belongs to the tunnel", async () => {
    await using line = await pair();
    line.far.setNoDelay(true);
    const opened = openTunnel(line.near, { host: "a", port: 1 }, never);
    await firstOf(line.far);
    for (const piece of [
      "HTTP/1.1 2",
      "00 Connection established\r",
      "\nVia: x\r\n\r",
      "\nfirst",
    ]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      line.far.write(piece, () => resolve());
      await promise;
    }
    await opened;
    expect((await firstOf(line.near)).toString()).toBe("first");
  });

  test("an endless head is refused", async () => {
    await using line = await pair();
    const opened = rejection(openTunnel(line.near, { host: "a", port: 1 }, never));
    line.far.write(Buffer.alloc(20_000, "a"));
    expect((await opened).message).toBe("The proxy does not speak HTTP");
  });

  test("rejects with the reason of its deadline", async () => {
    await using line = await pair();
    const deadline = new AbortController();
    const opened = rejection(openTunnel(line.near, { host: "a", port: 1 }, deadline.signal));
    deadline.abort(new Error("too late"));
    expect((await opened).message).toBe("too late");
  });
});
