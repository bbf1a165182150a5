import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { listen } from "../../connectors/modbus/server-listener.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { readModbusConfig } from "../support/modbus-connector.ts";
import { ModbusServer } from "../support/modbus-server.ts";
import { freePort } from "../support/ports.ts";
import { SERVER_CERT, SERVER_KEY } from "../support/private-ca.ts";
import { temporaryDir } from "../support/temporary-dir.ts";
import { until } from "../support/until.ts";

/** A signal that knows how many listeners it has. */
function countedSignal(): { readonly signal: AbortSignal; readonly listeners: () => number } {
  const { signal } = new AbortController();
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count -= 1;
    remove(...args);
  };
  return { signal, listeners: () => count };
}

test("listen() leaves nothing behind when its port is taken, however often it is tried", async () => {
  await using other = await ModbusServer.listen();
  const slave = { type: "tcp", host: "127.0.0.1", port: other.port };
  const config = readModbusConfig({ slave }).config.slave;
  if (config === undefined) {
    throw new Error("there is no server");
  }
  const { signal, listeners } = countedSignal();
  const context = { clock: systemClock, answer: () => undefined, ready: () => undefined };
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const error = await listen(config, context, signal).catch((caught: unknown) => String(caught));
    expect(error).toContain("Cannot listen on tcp");
  }
  expect(listeners()).toBe(0);
});

test("connections that never begin their TLS handshake are bounded", async () => {
  using dir = temporaryDir();
  const [certfile, keyfile] = [join(dir.path, "cert.pem"), join(dir.path, "key.pem")];
  writeFileSync(certfile, SERVER_CERT);
  writeFileSync(keyfile, SERVER_KEY);
  const slave = { type: "tcp", host: "127.0.0.1", port: await freePort() };
  const file = { slave: { ...slave, method: "tls", security: { certfile, keyfile } } };
  const config = readModbusConfig(file).config.slave;
  if (config === undefined) {
    throw new Error("there is no server");
  }
  const stop = new AbortController();
  const listening = Promise.withResolvers<void>();
  const context = { clock: systemClock, answer: () => undefined, ready: listening.resolve };
  const ended = listen(config, context, stop.signal).catch((error: unknown) => error);
  await listening.promise;
  let closed = 0;
  const sockets = Array.from({ length: 200 }, () => {
    const socket = connect({ host: "127.0.0.1", port: slave.port });
    socket.on("error", () => socket.destroy());
    return socket.on("close", () => {
      closed += 1;
    });
  });
  await until("the others are turned away", () => closed >= 200 - 128);
  for (const socket of sockets) {
    socket.destroy();
  }
  stop.abort("stop");
  expect(await ended).toBe("stop");
}, 30_000);
