import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchCertificates } from "../../../src/thingsboard/certificate-watch.ts";
import { createSelfSigned } from "../../../src/thingsboard/self-signed.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { EXPIRED_CERT } from "../../support/private-ca.ts";
import { until } from "../../support/until.ts";

const DAY_MS = 86_400_000;
/** When EXPIRED_CERT ends. */
const END_MS = Date.parse("2021-01-01T00:00:00Z");

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "tbgw-watch-"));
});

afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

/** A watch over `ca` and `cert` in the directory, `daysBefore` the end of EXPIRED_CERT. */
function watch(daysBefore: number, checkEveryMs = 3_600_000) {
  const clock = new FakeClock(END_MS - daysBefore * DAY_MS);
  const log = memoryLog();
  const stop = new AbortController();
  const stored: string[] = [];
  const tls = {
    caPath: join(dir, "ca"),
    certPath: join(dir, "cert"),
    keyPath: undefined,
    insecure: false,
    expiry: { checkEveryMs, warnDays: 3 },
  };
  const store = {
    append: (batch: Uint8Array, count: number, options: { readonly values: number }) => {
      expect([count, options]).toMatchObject([
        1,
        { values: 2, collected: { received: 2, filtered: {}, rejected: {} } },
      ]);
      stored.push(new TextDecoder().decode(batch).split("\t").at(-1)?.trim() ?? "");
      return Promise.resolve();
    },
  };
  const done = watchCertificates({ tls }, { clock, log: log.log, store }, stop.signal);
  done.catch(() => undefined);
  return {
    log,
    stored,
    checked: () => until("it has checked", () => clock.waiting > 0),
    /** Check by check: the files are really read, and the clock must not run ahead of that. */
    pass: async (ms: number) => {
      for (let leftMs = ms; leftMs > 0; leftMs -= checkEveryMs) {
        await clock.advance(Math.min(leftMs, checkEveryMs));
        await until("it has checked", () => clock.waiting > 0);
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error("the test is over"));
      await done.catch(() => undefined);
    },
  };
}

const WARNING = '{"CACertificate":"CA certificate will outdated soon","CACertificateValidTo":';

describe("watchCertificates", () => {
  test("is silent until the days are fewer than configured, then warns and sends an attribute", async () => {
    await writeFile(join(dir, "ca"), EXPIRED_CERT);
    await using watched = watch(3.5);
    await watched.checked();
    expect(watched.stored).toEqual([]);
    await watched.pass(DAY_MS / 2 + 3_600_000);
    expect(watched.stored).toEqual([`${WARNING}${END_MS}}`]);
    expect(watched.log.records.map(({ level, fields }) => [level, fields["leftDays"]])).toEqual([
      ["warn", 2],
    ]);
  });

  test("warns once a day however often it looks, also of a certificate that has ended", async () => {
    await writeFile(join(dir, "cert"), EXPIRED_CERT);
    await using watched = watch(-10);
    await watched.checked();
    for (let hour = 0; hour < 50; hour += 1) {
      await watched.pass(3_600_000);
    }
    expect(watched.stored).toHaveLength(3);
    expect(watched.stored[0]).toStartWith('{"clientCertificate":"Client certificate will');
  });

  test("says when it was renewed, and never writes the file", async () => {
    const path = join(dir, "ca");
    await writeFile(path, EXPIRED_CERT);
    await using watched = watch(1);
    await watched.checked();
    expect(await readFile(path, "utf8")).toBe(EXPIRED_CERT);
    await writeFile(path, createSelfSigned("renewed").certificate);
    await watched.pass(3_600_000);
    expect(watched.stored).toHaveLength(2);
    expect(watched.stored[1]).toStartWith('{"CACertificate":"CA certificate is valid"');
    expect(watched.log.messages()).toEqual([
      "CA certificate ends soon: put another one in its place",
      "CA certificate has been renewed",
    ]);
  });

  test("of a file with several certificates the first end counts", async () => {
    const other = createSelfSigned("other").certificate;
    await writeFile(join(dir, "ca"), `${other}\n# a comment\n${EXPIRED_CERT}`);
    await using watched = watch(1);
    await watched.checked();
    expect(watched.stored).toHaveLength(1);
  });

  test("a file that is missing or no certificate says nothing here", async () => {
    await writeFile(
      join(dir, "ca"),
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    );
    await using watched = watch(1);
    await watched.pass(DAY_MS);
    expect(watched.log.records).toEqual([]);
  });

  test("ends at once when there is nothing to watch", async () => {
    const host = {
      clock: new FakeClock(),
      log: memoryLog().log,
      store: { append: () => Promise.resolve() },
    };
    await watchCertificates({ tls: undefined }, host, new AbortController().signal);
  });
});
