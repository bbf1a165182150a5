import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { BatchWriter } from "#sdk/batch";
import type { Clock } from "#sdk/clock";
import { RejectedError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { EventStore } from "../storage/event-store.ts";
import type { SessionSettings } from "./settings.ts";

/** What the watch needs; its attributes go to the platform by way of the store, like all data. */
export interface WatchHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Pick<EventStore, "append">;
}

/** A certificate file. */
interface Watched {
  readonly path: string;
  /** Name of the attribute of the gateway's own device. */
  readonly attribute: string;
  /** In words. */
  readonly what: string;
}

/** What was last said of a file. */
interface Said {
  readonly validToMs: number;
  readonly isEnding: boolean;
  readonly atMs: number;
}

const DAY_MS = 86_400_000;

/**
 * Checks the CA and client certificate of the session every `checkEveryMs` and warns when one ends within `warnDays`: in the
 * log and as an attribute of the gateway's own device, at once and then once a day; again when it was renewed. Files are
 * only read, never written. Resolves at once when there is nothing to watch, else rejects with the reason of `signal`.
 */
export async function watchCertificates(
  { tls }: Pick<SessionSettings, "tls">,
  host: WatchHost,
  signal: AbortSignal,
): Promise<void> {
  const files = [
    { path: tls?.caPath, attribute: "CACertificate", what: "CA certificate" },
    { path: tls?.certPath, attribute: "clientCertificate", what: "Client certificate" },
  ].flatMap(({ path, ...names }) => (path === undefined ? [] : [{ path, ...names }]));
  if (tls?.expiry === undefined || files.length === 0) {
    return;
  }
  const { checkEveryMs, warnDays } = tls.expiry;
  const said = new Map<string, Said>();
  for (;;) {
    for (const file of files) {
      const validToMs = await endOf(file.path);
      if (validToMs !== undefined) {
        await check({ file, validToMs, warnDays, said }, host, signal);
      }
    }
    await host.clock.sleep(checkEveryMs, signal);
  }
}

async function check(
  subject: {
    readonly file: Watched;
    readonly validToMs: number;
    readonly warnDays: number;
    readonly said: Map<string, Said>;
  },
  host: WatchHost,
  signal: AbortSignal,
): Promise<void> {
  const { file, validToMs, warnDays, said } = subject;
  const before = said.get(file.path);
  const atMs = host.clock.monotonicMs();
  const leftDays = Math.floor((validToMs - host.clock.now()) / DAY_MS);
  const isEnding = leftDays < warnDays;
  const isNews = before?.validToMs !== validToMs || before.isEnding !== isEnding;
  const isDue = isEnding && (isNews || atMs - before.atMs >= DAY_MS);
  if (!isDue && !(isNews && before?.isEnding === true)) {
    return;
  }
  said.set(file.path, { validToMs, isEnding, atMs });
  const fields = { file: file.path, validTo: new Date(validToMs).toISOString(), leftDays };
  if (isEnding) {
    host.log.warn(`${file.what} ends soon: put another one in its place`, fields);
  } else {
    host.log.info(`${file.what} has been renewed`, fields);
  }
  // The Python gateway's words, which dashboards and rules may look for.
  const text = `${file.what} ${isEnding ? "will outdated soon" : "is valid"}`;
  const json = { [file.attribute]: text, [`${file.attribute}ValidTo`]: validToMs };
  await store(json, host, signal);
}

async function store(
  attributes: Readonly<Record<string, string | number>>,
  host: WatchHost,
  signal: AbortSignal,
): Promise<void> {
  const writer = new BatchWriter();
  const values = Object.keys(attributes).length;
  const json = JSON.stringify(attributes);
  writer.add({ kind: "gateway-attributes", device: "", deviceType: "", json, values });
  const collected = { received: values, filtered: {}, rejected: {} };
  try {
    await host.store.append(writer.take(), 1, { urgent: false, values, collected }, signal);
  } catch (error) {
    if (!(error instanceof RejectedError || error instanceof TransientError)) {
      throw error;
    }
    host.log.debug("Cannot store the warning about a certificate", { error });
  }
}

/** When the first certificate of a PEM file ends; `undefined` when it cannot be read: a connection says so. */
async function endOf(path: string): Promise<number | undefined> {
  try {
    const text = await readFile(path, "utf8");
    const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const ends = found.map((pem) => Date.parse(new X509Certificate(pem).validTo));
    return ends.length === 0 ? undefined : Math.min(...ends);
  } catch {
    // Missing or no certificate.
    return undefined;
  }
}
