import { expect, test } from "bun:test";
import { formatLogLine } from "../../../src/logging/stdout.ts";
import { TransientError } from "../../../src/sdk/errors.ts";
import { createLogger, type LogRecord, rateLimited } from "../../../src/sdk/logger.ts";
import { FakeClock } from "../../support/fake-clock.ts";

test("a logger drops what is below its level and turns errors into text with their causes", () => {
  const clock = new FakeClock(0);
  const records: LogRecord[] = [];
  const log = createLogger({
    source: "service",
    level: "info",
    clock,
    sink: (record) => records.push(record),
  });
  log.debug("not shown");
  log.warn("Cannot reach broker", {
    error: new TransientError("refused", { cause: new Error("ECONNREFUSED") }),
  });
  expect(records.map(formatLogLine)).toEqual([
    '1970-01-01T00:00:00.000Z WARN  service: Cannot reach broker error="refused: ECONNREFUSED"',
  ]);
});

test("rateLimited() says a sentence once a minute, with the number left out", async () => {
  const clock = new FakeClock();
  const records: LogRecord[] = [];
  const log = rateLimited(
    createLogger({ source: "x", level: "trace", clock, sink: (record) => records.push(record) }),
    clock,
  );
  for (let count = 0; count < 5; count += 1) {
    log.warn("Bad message", { count });
  }
  await clock.advance(60_000);
  log.warn("Bad message");
  expect(records.map(({ fields }) => fields)).toEqual([{ count: 0 }, { suppressed: 4 }]);
});
