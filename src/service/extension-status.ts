import type { ExtensionCatalogue, LoadedFile } from "../extension/catalogue.ts";
import type { ExtensionUses, Use } from "../extension/uses.ts";
import type { ConnectorStatus } from "./status.ts";

/** A converter that a connector has asked for. */
export interface UsedConverter {
  readonly kind: string;
  readonly name: string;
  /** The file it is from; `undefined` when it cannot be used, or runs in the thread of its connector. */
  readonly file: string | undefined;
  /** Of its file, the SHA-256 when that is alone; `undefined` when it cannot be used. */
  readonly version: string | undefined;
  /** Why it cannot be used; `undefined`: it can. */
  readonly problem: string | undefined;
}

/** A connector that extensions have to do with: it is from one, uses converters of some, or has a type that is not in the program. */
export interface ExtensionConnectorStatus
  extends Pick<ConnectorStatus, "name" | "type" | "state" | "detail" | "restarts"> {
  /** The file it is from; `undefined`: it is inside the program, or its file cannot be used. */
  readonly file: string | undefined;
  readonly sha256: string | undefined;
  readonly converters: readonly UsedConverter[];
  /** Inputs that a converter has failed on. */
  readonly converterErrors: number;
}

/** What a running gateway has of extensions. */
export interface ExtensionsReport {
  readonly pid: number;
  /** The folders it looks into. */
  readonly roots: readonly string[];
  /** What it has imported, or tried to; `sha256` is that of the version that runs. */
  readonly files: readonly Omit<LoadedFile, "version">[];
  readonly connectors: readonly ExtensionConnectorStatus[];
}

/** Where the report comes from. */
export interface ExtensionSources {
  readonly catalogue: Pick<ExtensionCatalogue, "roots" | "loaded">;
  readonly uses: Pick<ExtensionUses, "usesOf">;
}

/** A connector of the configuration, with the extension it is from. */
export interface ConnectorOrigin extends ConnectorStatus {
  readonly extension: { readonly file: string; readonly sha256: string } | undefined;
  /** Its type is inside the program. */
  readonly isBuiltin: boolean;
}

/** Puts together what `tbgw extension list` shows of a running gateway. */
export function extensionsReport(
  { catalogue, uses }: ExtensionSources,
  connectors: readonly ConnectorOrigin[],
): ExtensionsReport {
  const loaded = catalogue.loaded();
  return {
    pid: process.pid,
    roots: catalogue.roots,
    files: loaded.map(({ version: _version, ...file }) => file),
    connectors: connectors.flatMap((connector) => {
      const converters = uses.usesOf(connector.id).flatMap((use) => usedConverter(use, loaded));
      const { extension, isBuiltin, name, type, state, detail, restarts, rejected } = connector;
      return extension === undefined && isBuiltin && converters.length === 0
        ? []
        : {
            name,
            type,
            state,
            detail,
            restarts,
            file: extension?.file,
            sha256: extension?.sha256,
            converters,
            converterErrors: rejected["converter-error"] ?? 0,
          };
    }),
  };
}

/** None for what is inside the program. */
function usedConverter(
  { lookup, end }: Use,
  loaded: readonly LoadedFile[],
): readonly UsedConverter[] {
  const { kind, name, isBuiltin = false } = lookup;
  const unusable = { kind, name, file: undefined, version: undefined };
  if ("error" in end) {
    return [{ ...unusable, problem: end.error }];
  }
  const { version } = end;
  if (version === undefined) {
    return isBuiltin ? [] : [{ ...unusable, problem: "no extension defines it" }];
  }
  const from = loaded.find(
    (file) =>
      file.version === version &&
      file.definitions.some((one) => one.kind === kind && one.name === name),
  );
  return [{ kind, name, file: from?.file, version, problem: undefined }];
}
