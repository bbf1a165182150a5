import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import { writeFileAtomically } from "../config/atomic-file.ts";
import { fileText, type JsonRecord, without } from "../config/canonical.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import type { Revision, Revisions } from "../config/revisions.ts";
import type { SessionSettings } from "../thingsboard/settings.ts";
import type { ConfigurationSource, Configurator } from "./configurator.ts";
import type { PlatformLink } from "./platform-link.ts";
import { mainOf } from "./remote-sections.ts";

/** Name of the file in the data directory. */
const PROOF_FILE = "connection-proof.json";
/** How long a connection that was never proven may try alone. */
export const FALLBACK_AFTER_MS = 300_000;
/** What makes a connection, in the section `thingsboard`. */
const CONNECTION_KEYS = ["host", "port", "security", "provisioning", "proxy_host", "proxy_port"];

/** What the fallback needs of its surroundings. */
export interface ConnectionFallbackDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  readonly configurator: Configurator;
  readonly source: ConfigurationSource;
  readonly revisions: Revisions;
  readonly platform: PlatformLink;
  readonly afterMs?: number | undefined;
  /** Tells the platform why it sees another configuration than the one that was set. */
  readonly report: (reason: string) => void;
}

/**
 * A connection that was changed in the files while the gateway did not run, and that cannot connect, must not cost the way to the
 * gateway: after some minutes the newest revision that is known to connect is tried beside it, and takes its place once it has.
 */
export class ConnectionFallback implements AsyncDisposable {
  readonly #deps: ConnectionFallbackDeps;
  readonly #path: string;
  readonly #link: Disposable;
  #proven: string | undefined;
  #timer: Disposable | undefined;
  #trying: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(deps: ConnectionFallbackDeps) {
    this.#deps = deps;
    this.#path = join(deps.dataDir, PROOF_FILE);
    this.#proven = readProof(this.#path);
    this.#link = deps.platform.onChange((connected) => this.#linkChanged(connected));
    const { session } = deps.configurator;
    const isFresh = session !== undefined && fingerprint(session) !== this.#proven;
    if (isFresh && this.#proven !== undefined && !deps.platform.connected) {
      this.#wait();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#link[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    await this.#trying;
  }

  #linkChanged(connected: boolean): void {
    const { session } = this.#deps.configurator;
    if (!connected || session === undefined) {
      return;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const proven = fingerprint(session);
    if (proven !== this.#proven) {
      this.#proven = proven;
      try {
        writeFileAtomically(this.#path, `${JSON.stringify({ proven })}\n`);
      } catch (error) {
        this.#deps.log.warn("Cannot remember the connection that works", { error });
      }
    }
  }

  #wait(): void {
    this.#timer = this.#deps.clock.timer(this.#deps.afterMs ?? FALLBACK_AFTER_MS, () => {
      this.#trying = this.#fallBack().catch((error: unknown) => {
        if (!this.#isOver) {
          this.#deps.log.warn("The earlier connection does not work either; both are tried on", {
            error: errorText(error),
          });
          this.#wait();
        }
      });
    });
  }

  /** @throws TransientError when the earlier connection does not prove itself */
  async #fallBack(): Promise<void> {
    const { configurator, log, platform, report } = this.#deps;
    if (this.#isOver || platform.connected) {
      return;
    }
    const found = await this.#findProven();
    if (found === undefined) {
      log.warn("The changed connection does not work, and no earlier configuration is kept");
      return;
    }
    await configurator.useSession(found.session);
    const reason = `the changed connection did not work; the one of ${new Date(found.revision.time).toISOString()} is in use again`;
    log.error("The changed connection did not work: the earlier one is in use again", {
      file: configurator.current.mainFile,
      revision: new Date(found.revision.time).toISOString(),
    });
    report(reason);
    await this.#restore(found.thingsboard).catch((error: unknown) =>
      log.error("The earlier connection cannot be written into the file", { error }),
    );
  }

  /** The newest revision whose connection has worked. */
  async #findProven(): Promise<Found | undefined> {
    const { configurator, revisions, source } = this.#deps;
    const { mainFile } = configurator.current;
    for (const revision of revisions.list(revisions.nameOf(mainFile))) {
      const loaded = await source.load(new Map([[mainFile, revisions.read(revision)]]));
      const { session } = source.setup(loaded);
      if (session !== undefined && fingerprint(session) === this.#proven) {
        return { revision, session, thingsboard: thingsboardOf(loaded.raw) };
      }
    }
    return undefined;
  }

  /** Puts the connection, and nothing else, back into the main file. */
  async #restore(earlier: JsonRecord): Promise<void> {
    const pick = (from: JsonRecord): JsonRecord =>
      Object.fromEntries(Object.entries(from).filter(([key]) => CONNECTION_KEYS.includes(key)));
    await this.#deps.configurator.change((current: LoadedConfiguration) => {
      const main = mainOf(current);
      const rest = without(thingsboardOf(main), ...CONNECTION_KEYS);
      const thingsboard = { ...pick(earlier), ...rest };
      return new Map([[current.mainFile, fileText({ ...main, thingsboard })]]);
    });
  }
}

interface Found {
  readonly revision: Revision;
  readonly session: SessionSettings;
  readonly thingsboard: JsonRecord;
}

function thingsboardOf(main: Json | undefined): JsonRecord {
  const section = isJsonObject(main) ? main["thingsboard"] : undefined;
  return isJsonObject(section) ? section : {};
}

/** Names a way to connect, without telling its credentials. */
function fingerprint({ hosts, credentials, tls, proxy }: SessionSettings): string {
  const way = [hosts, credentials, tls, proxy];
  return createHash("sha256").update(JSON.stringify(way)).digest("base64url");
}

function readProof(path: string): string | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const hasProof = typeof value === "object" && value !== null && "proven" in value;
    return hasProof && typeof value.proven === "string" ? value.proven : undefined;
  } catch {
    return undefined; // Nothing was proven yet.
  }
}
