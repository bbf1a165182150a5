import { expect, test } from "bun:test";
import type { ModbusRequest } from "../../../../connectors/modbus/client.ts";
import { type Line, timingOf } from "../../../../connectors/modbus/line.ts";
import { AnswerWaits } from "../../../../connectors/modbus/waits.ts";

const serial = { path: "/dev/ttyUSB0", baudRate: 115_200, dataBits: 8, parity: "N" } as const;
const line: Line = {
  kind: "serial",
  framing: "rtu",
  serial: { ...serial, stopBits: 1, rs485: false, localEcho: false },
};
const request: ModbusRequest = { functionCode: 3, unit: 1, address: 0, count: 1 };
const talk = {
  timeoutMs: 35_000,
  responseTimeoutMs: undefined,
  retries: 3,
  retryWrites: false,
  delayMs: 0,
  failuresToDown: 2,
};

test("a single slow answer is forgiven: a dead device does not cost the others its wait for ever", () => {
  const waits = new AnswerWaits({ line, timing: timingOf(line), isShared: true });
  const answer = (elapsedMs: number): void =>
    waits.seen({ bytes: new Uint8Array(2), elapsedMs }, request);
  const quickMs = waits.forRequest(request, talk);
  answer(3000);
  expect(waits.forRequest(request, talk)).toBeGreaterThan(11_000);
  for (let count = 0; count < 500; count += 1) {
    answer(20);
  }
  expect(waits.forRequest(request, talk)).toBeGreaterThan(11_000);
  for (let count = 0; count < 2000; count += 1) {
    answer(20);
  }
  expect(waits.forRequest(request, talk)).toBe(quickMs);
});
