import type { Clock } from "#sdk/clock";
import type { GatewayUplink } from "#sdk/connector";
import { errorText, RpcError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Json, Values } from "#sdk/model";
import type { ExtensionCatalogue } from "../extension/catalogue.ts";
import type { RpcDefinition } from "../extension/definitions.ts";
import { ExtensionUses } from "../extension/uses.ts";
import type { ExtensionSources } from "./extension-status.ts";
import { DONE } from "./rpc-answers.ts";
import type { GatewayMethod, GatewayMethods } from "./rpc-methods.ts";

/** What the services need of their surroundings. */
export interface ExtensionServicesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The way up for the gateway's own device. */
  readonly gateway: GatewayUplink;
  /** Publishes client attributes of the gateway. */
  readonly publish: (values: Values) => Promise<void>;
  /** Takes the methods of the gateway that extensions define, in place of the ones before. */
  readonly setMethods: (methods: GatewayMethods) => void;
}

/** What extensions are to a running gateway: converters of its connectors, methods of its own, and files that the platform is told of. */
export class ExtensionServices implements Disposable {
  /** Which connector uses what. */
  readonly uses: ExtensionUses;
  readonly #catalogue: ExtensionCatalogue;
  readonly #deps: ExtensionServicesDeps;
  readonly #loaded: Disposable;

  constructor(catalogue: ExtensionCatalogue, deps: ExtensionServicesDeps) {
    this.#catalogue = catalogue;
    this.#deps = deps;
    this.uses = new ExtensionUses(catalogue);
    this.#loaded = catalogue.onLoaded(() => this.#tellPlatform());
    this.#tellPlatform();
  }

  /** Looks at the files again. Resolves with the ids of the connectors that need a fresh instance because of them. Never throws. */
  async refresh(): Promise<ReadonlySet<string>> {
    await this.loadMethods();
    return await this.uses.stale();
  }

  /** Makes the methods of the gateway what the files say. Never throws. */
  async loadMethods(): Promise<void> {
    const { log, setMethods } = this.#deps;
    try {
      const found = await this.#catalogue.methods();
      setMethods(
        new Map(
          found.map(({ definition }) => [
            `gateway_${definition.name}`,
            methodOf(definition, this.#deps),
          ]),
        ),
      );
    } catch (error) {
      log.error("The methods of extensions cannot be loaded", { error });
    }
  }

  /** What `tbgw extension list` asks for. */
  get sources(): ExtensionSources {
    return { catalogue: this.#catalogue, uses: this.uses };
  }

  [Symbol.dispose](): void {
    this.#loaded[Symbol.dispose]();
  }

  /** The SHA-256 of each file that runs here, so that a fleet can be compared. */
  #tellPlatform(): void {
    const { log, publish } = this.#deps;
    const files = this.#catalogue.loaded().filter(({ sha256 }) => sha256 !== "");
    if (files.length > 0) {
      const extensions = Object.fromEntries(files.map(({ file, sha256 }) => [file, sha256]));
      publish({ extensions }).catch((error: unknown) =>
        log.warn("The platform cannot be told of the extensions", { error }),
      );
    }
  }
}

/** A definition as a method. Parameters that do not fit its schema are answered with what is wrong. */
function methodOf(
  definition: RpcDefinition,
  { clock, log, gateway }: ExtensionServicesDeps,
): GatewayMethod {
  return async (params, signal) => {
    const value = checked(definition, params);
    try {
      const answer: Json | void = await definition.run(value, { log, clock, gateway }, signal);
      return answer === undefined ? DONE : answer;
    } catch (error) {
      if (!(error instanceof RpcError) && !signal.aborted) {
        const stack = error instanceof Error ? error.stack : undefined;
        log.warn("A method of an extension failed", {
          method: definition.name,
          error: errorText(error),
          stack,
        });
      }
      throw error;
    }
  };
}

/** No parameters are `undefined`, or an empty object where the schema wants one. @throws RpcError when they do not fit */
function checked(definition: RpcDefinition, params: Json | undefined): unknown {
  const isNone = params === undefined || params === null || params === "{}";
  const candidates: readonly unknown[] = isNone ? [undefined, {}] : [params];
  let problem = "";
  for (const candidate of candidates) {
    const result = definition.params["~standard"].validate(candidate);
    if (result instanceof Promise) {
      result.catch(() => undefined); // The answer is not wanted.
      throw new RpcError(`The parameters of "${definition.name}" are checked asynchronously`, 500);
    }
    if (result.issues === undefined) {
      return result.value;
    }
    problem = result.issues
      .map(({ message, path = [] }) => {
        const place = path.map((part) => String(typeof part === "object" ? part.key : part));
        return [...(place.length === 0 ? ["params"] : [place.join(".")]), message].join(": ");
      })
      .join("; ");
  }
  throw new RpcError(problem, 400);
}
