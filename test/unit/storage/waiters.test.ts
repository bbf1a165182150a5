import { expect, test } from "bun:test";
import { Waiters } from "../../../src/storage/waiters.ts";
import { failure } from "./batches.ts";

test("wait() resolves at wake() and rejects with the reason of an abort or of fail()", async () => {
  const waiters = new Waiters();
  const never = new AbortController();
  const woken = waiters.wait(never.signal);
  waiters.wake();
  await woken;
  const aborted = new AbortController();
  const waiting = waiters.wait(aborted.signal);
  waiting.catch(() => {});
  aborted.abort(new Error("enough"));
  const failing = waiters.wait(never.signal);
  failing.catch(() => {});
  waiters.fail(new Error("closed"));
  expect(await failure(waiting)).toEqual(new Error("enough"));
  expect(await failure(failing)).toEqual(new Error("closed"));
  expect(waiters.count).toBe(0);
});
