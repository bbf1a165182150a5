import { expect, test } from "bun:test";
import { TransientError } from "../../../src/sdk/errors.ts";
import type { Cursor, EventStore } from "../../../src/storage/event-store.ts";
import { Releaser } from "../../../src/thingsboard/releaser.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any integer is a cursor
const at = (cursor: number): Cursor => BigInt(cursor) as Cursor;

/** A store whose disk refuses the first `failures` calls. */
function store(failures: number, done: string[]): EventStore {
  let left = failures;
  const attempt = (text: string): Promise<void> => {
    if (left > 0) {
      left -= 1;
      return Promise.reject(new TransientError("The disk is full"));
    }
    done.push(text);
    return Promise.resolve();
  };
  const unused = (): never => {
    throw new TransientError("The releaser does not call this");
  };
  return {
    append: unused,
    next: unused,
    stats: unused,
    release: (cursors) => attempt(`release ${cursors.join(" ")}`),
    quarantine: (cursor, reason) => attempt(`quarantine ${cursor} ${reason}`),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

test("releases in groups, and asks a disk that refuses again, nothing forgotten", async () => {
  const clock = new FakeClock();
  const done: string[] = [];
  const releaser = new Releaser({ store: store(3, done), clock, log: memoryLog().log });
  const stop = new AbortController();
  const running = Promise.allSettled([releaser.run(stop.signal)]);
  let idle = false;
  releaser.release(at(1));
  releaser.release(at(2));
  releaser.quarantine(at(3), "too-large");
  releaser.whenIdle(() => {
    idle = true;
  });
  await clock.advance(10);
  expect([done, releaser.pending, idle]).toEqual([[], 3, false]);
  releaser.release(at(4));
  await clock.advance(30_000);
  expect(done).toEqual(["release 1 2 4", "quarantine 3 too-large"]);
  expect([releaser.pending, idle]).toEqual([0, true]);
  stop.abort(new Error("the test is over"));
  await running;
});

/** A store that commits 250 ms after the first call that waits. */
function committing(clock: FakeClock, done: string[]): EventStore {
  let commit: Promise<void> | undefined;
  const written = async (text: string): Promise<void> => {
    commit ??= clock.sleep(250, new AbortController().signal).then(() => {
      commit = undefined;
    });
    await commit;
    done.push(text);
  };
  return {
    ...store(0, []),
    release: (cursors) => written(`release ${cursors.join(" ")}`),
    quarantine: (cursor, reason) => written(`quarantine ${cursor} ${reason}`),
  };
}

test("records set aside share a commit, so that many of them delay no release", async () => {
  const clock = new FakeClock();
  const done: string[] = [];
  const releaser = new Releaser({ store: committing(clock, done), clock, log: memoryLog().log });
  const stop = new AbortController();
  const running = Promise.allSettled([releaser.run(stop.signal)]);
  for (let cursor = 1; cursor <= 100; cursor += 1) {
    releaser.quarantine(at(cursor), "payload-invalid");
  }
  await clock.advance(100);
  releaser.release(at(101));
  await clock.advance(1000);
  expect([done.length, done.at(-1)]).toEqual([101, "release 101"]);
  expect(releaser.pending).toBe(0);
  stop.abort(new Error("the test is over"));
  await running;
});

test("ends with its signal although a disk that refuses does not answer", async () => {
  const clock = new FakeClock();
  const unanswered = Promise.withResolvers<void>();
  const silent: EventStore = { ...store(0, []), release: () => unanswered.promise };
  const releaser = new Releaser({ store: silent, clock, log: memoryLog().log });
  const stop = new AbortController();
  let isOver = false;
  const running = Promise.allSettled([releaser.run(stop.signal)]).then(() => {
    isOver = true;
  });
  releaser.release(at(1));
  await clock.advance(1000);
  stop.abort(new Error("the test is over"));
  await clock.advance(1000);
  expect(isOver).toBe(true);
  // As a store does that is closed in the end: nobody listens any more.
  unanswered.reject(new TransientError("The event store is closed"));
  await running;
});

test("a disk that refuses now and then is asked again soon each time, and said to be back", async () => {
  const clock = new FakeClock();
  const { log, messages } = memoryLog();
  const done: string[] = [];
  let isRefusing = false;
  const disk = store(0, done);
  const flaky: EventStore = {
    ...disk,
    release: (cursors) =>
      isRefusing ? Promise.reject(new TransientError("The disk is full")) : disk.release(cursors),
  };
  const releaser = new Releaser({ store: flaky, clock, log });
  const stop = new AbortController();
  const running = Promise.allSettled([releaser.run(stop.signal)]);
  for (let round = 1; round <= 8; round += 1) {
    await clock.advance(7_200_000);
    isRefusing = true;
    releaser.release(at(round));
    await clock.advance(0);
    isRefusing = false;
    await clock.advance(1000);
    expect(done.length).toBe(round);
  }
  expect([messages("warn").length, messages("info").length]).toEqual([8, 8]);
  stop.abort(new Error("the test is over"));
  await running;
});
