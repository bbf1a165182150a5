import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { Float, type Json, type Values } from "#sdk/model";
import { VERSION } from "../version.ts";
import type { Publisher } from "./claims.ts";
import type { OwnAttributes } from "./own-attributes.ts";

/** What the notices need of a running gateway. */
export interface OtaNoticesDeps {
  readonly own: Pick<OwnAttributes, "onShared">;
  readonly publisher: Publisher;
  readonly log: Logger;
}

const TOPIC = "v1/devices/me/telemetry";
/** The name of this program as a package. */
const TITLE = "tbgw";
/** Firmware and software packages have the same attributes under two prefixes. */
const KINDS = ["fw", "sw"] as const;

/**
 * Answers the assignment of a package to the gateway device: the gateway does not replace itself over this channel, and says so
 * on the platform instead of leaving the update open for ever. Once for each version.
 */
export class OtaNotices implements Disposable {
  readonly #deps: OtaNoticesDeps;
  readonly #subscription: Disposable;
  /** What the platform knows of last; updates may change title and version one by one. */
  readonly #assigned: Record<string, string> = {};
  readonly #answered = new Set<string>();

  constructor(deps: OtaNoticesDeps) {
    this.#deps = deps;
    const keys = KINDS.flatMap((kind) => [`${kind}_title`, `${kind}_version`]);
    this.#subscription = deps.own.onShared((values) => this.#shared(values), keys);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #shared(values: Values): void {
    for (const kind of KINDS) {
      const keys = [`${kind}_title`, `${kind}_version`];
      if (keys.some((key) => values[key] !== undefined)) {
        for (const key of keys) {
          this.#assigned[key] = textOf(values[key]) ?? this.#assigned[key] ?? "";
        }
        this.#answer(kind);
      }
    }
  }

  #answer(kind: (typeof KINDS)[number]): void {
    const title = this.#assigned[`${kind}_title`] ?? "";
    const version = this.#assigned[`${kind}_version`] ?? "";
    const id = `${kind}\n${title}\n${version}`;
    if (title === "" || version === "" || this.#answered.has(id)) {
      return;
    }
    this.#answered.add(id);
    const current = { [`current_${kind}_title`]: TITLE, [`current_${kind}_version`]: VERSION };
    const isInstalled = title === TITLE && version === VERSION;
    const outcome = isInstalled
      ? { [`${kind}_state`]: "UPDATED" }
      : {
          [`${kind}_state`]: "FAILED",
          [`${kind}_error`]: `tbgw ${VERSION} does not install "${title}" ${version} by itself: copy the new file tbgw over the one on the gateway and restart the service`,
        };
    if (!isInstalled) {
      this.#deps.log.warn("The platform assigns a package, which is not installed from there", {
        title,
        version,
        current: VERSION,
      });
    }
    this.#deps.publisher
      .publish(TOPIC, JSON.stringify({ ...current, ...outcome }))
      .catch((error: unknown) => {
        // The attributes come again with the next connection.
        this.#answered.delete(id);
        this.#deps.log.debug("The answer to a package waits for the platform", {
          error: errorText(error),
        });
      });
  }
}

/** A version such as `7.1` may arrive as a number: the platform stores texts of digits so. */
function textOf(value: Json | undefined): string | undefined {
  if (value instanceof Float) {
    return value.text ?? String(value.value);
  }
  if (typeof value === "number" || typeof value === "bigint") {
    return String(value);
  }
  return typeof value === "string" ? value : undefined;
}
