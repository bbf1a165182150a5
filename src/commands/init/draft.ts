import { isJsonObject, type Json } from "#sdk/model";
import { fileText, type JsonRecord, without } from "../../config/canonical.ts";

/** A file that is to be in the configuration directory. */
export interface DraftFile {
  readonly name: string;
  readonly content: string | Uint8Array;
  /** What it holds, for a person. */
  readonly about: string;
}

/** A configuration that is not written yet. */
export interface Draft {
  /** Content of `tb_gateway.json`. */
  readonly main: JsonRecord;
  /** All other files that are to be written. */
  readonly files: readonly DraftFile[];
  /** Files that are there and stay as they are. */
  readonly kept: readonly string[];
}

/** Name of the main file. */
export const MAIN_FILE = "tb_gateway.json";

/** Nothing yet. */
export const EMPTY_DRAFT: Draft = { main: {}, files: [], kept: [] };

/** The draft with the keys of who and where the platform is; everything else in `thingsboard` stays. */
export function withPlatform(draft: Draft, platform: JsonRecord): Draft {
  const before = objectAt(draft.main, "thingsboard");
  const thingsboard = {
    ...platform,
    ...without(before, "host", "port", "security", "provisioning"),
  };
  return { ...draft, main: { thingsboard, ...without(draft.main, "thingsboard") } };
}

/** The draft with another `storage` section. */
export function withStorage(draft: Draft, storage: JsonRecord): Draft {
  return { ...draft, main: { ...draft.main, storage } };
}

/** A connector to add. */
export interface NewConnector {
  readonly type: string;
  readonly name: string;
  readonly config: JsonRecord;
}

/** The draft with one more connector, in a file whose name is free. */
export function withConnector(draft: Draft, { type, name, config }: NewConnector): Draft {
  const taken = new Set([...draft.files.map((file) => file.name), ...draft.kept]);
  const configuration = freeName(type, taken);
  const entries = [...connectorsOf(draft), { type, name, configuration }];
  const file = { name: configuration, content: fileText(config), about: `${name} (${type})` };
  return {
    ...draft,
    main: { ...draft.main, connectors: entries },
    files: [...draft.files, file],
  };
}

/** The entries of `connectors`. */
export function connectorsOf({ main }: Draft): readonly Json[] {
  const list: Json | undefined = main["connectors"];
  return Array.isArray(list) ? list : [];
}

/** The names of the connectors. */
export function connectorNames(draft: Draft): readonly string[] {
  return connectorsOf(draft).flatMap((entry) =>
    isJsonObject(entry) && typeof entry["name"] === "string" ? [entry["name"]] : [],
  );
}

/** `wanted`, or with the first number behind it that makes it free. */
export function freeConnectorName(draft: Draft, wanted: string): string {
  const taken = new Set(connectorNames(draft));
  let name = wanted;
  for (let index = 2; taken.has(name); index += 1) {
    name = `${wanted} ${index}`;
  }
  return name;
}

/** Every file of the draft; the main file is the last one, because it makes the others count. */
export function allFiles(draft: Draft): readonly DraftFile[] {
  const about = "the main file: platform, storage, list of connectors";
  return [...draft.files, { name: MAIN_FILE, content: fileText(draft.main), about }];
}

/** A member that is an object; an empty one otherwise. */
export function objectAt(object: JsonRecord, key: string): JsonRecord {
  const value = object[key];
  return isJsonObject(value) ? value : {};
}

function freeName(type: string, taken: ReadonlySet<string>): string {
  let name = `${type}.json`;
  for (let index = 2; taken.has(name); index += 1) {
    name = `${type}-${index}.json`;
  }
  return name;
}
