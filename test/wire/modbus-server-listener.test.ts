import { expect, test } from "bun:test";
import { listen } from "../../connectors/modbus/server-listener.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { readModbusConfig } from "../support/modbus-connector.ts";
import { ModbusServer } from "../support/modbus-server.ts";

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
