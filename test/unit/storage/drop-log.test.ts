import { expect, test } from "bun:test";
import { DropLog } from "../../../src/storage/drop-log.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

test("DropLog says a reason at once, then once in an hour with the sum", async () => {
  const clock = new FakeClock();
  const { log, records } = memoryLog();
  const drops = new DropLog(clock, log);
  drops.count({ quota: 3, ttl: 0 });
  drops.count({ quota: 4 });
  await clock.advance(3_599_999);
  drops.count({ quota: 5 });
  expect(records.map(({ fields }) => fields)).toEqual([{ reason: "quota", values: 3 }]);
  await clock.advance(1);
  drops.count({ quota: 1 });
  expect(records.map(({ fields }) => fields["values"])).toEqual([3, 10]);
});
