import type { Json } from "#sdk/model";
import { plain } from "../../config/canonical.ts";
import { gatewayConfig } from "../../config/gateway.ts";
import type { LoadedConfiguration } from "../../config/load.ts";
import { redact } from "../../config/redact.ts";
import { sizeText } from "../../service/plain-words.ts";
import { type DraftFile, MAIN_FILE } from "./draft.ts";

/** Files that are secret by what they are. */
const SECRET_NAMES = /(?:^|\/)(?:\.credentials|.*\.(?:key|pem|pfx|p12))$/;

/** The names of the files that hold a secret of the configuration. */
export function secretFiles(
  files: readonly DraftFile[],
  secrets: readonly string[],
): ReadonlySet<string> {
  // In a file a text is written as JSON.
  const texts = secrets
    .filter((secret) => secret !== "")
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
  const holds = ({ name, content }: DraftFile): boolean => {
    const text = typeof content === "string" ? content : Buffer.from(content).toString();
    return SECRET_NAMES.test(name) || texts.some((secret) => text.includes(secret));
  };
  return new Set(files.filter(holds).map(({ name }) => name));
}

/** What is in the directory, as a tree, and the main file without its secrets. */
export function savedText(saved: {
  readonly configDir: string;
  readonly files: readonly DraftFile[];
  readonly secret: ReadonlySet<string>;
  readonly loaded: LoadedConfiguration;
}): string {
  const { configDir, files, secret, loaded } = saved;
  const width = Math.max(...files.map(({ name }) => name.length));
  const sorted = files.toSorted(
    (a, b) => Number(b.name === MAIN_FILE) - Number(a.name === MAIN_FILE),
  );
  const lines = sorted.map(({ name, content, about }, index) => {
    const branch = index === sorted.length - 1 ? "└─" : "├─";
    const size = sizeText(Buffer.byteLength(content)).padStart(9);
    const mode = secret.has(name) ? "  (secrets: only for its owner)" : "";
    return `${branch} ${name.padEnd(width)} ${size}  ${about}${mode}`;
  });
  return [configDir, ...lines, "", `${MAIN_FILE}:`, redactedMain(loaded.raw)].join("\n");
}

function redactedMain(raw: Json | undefined): string {
  return JSON.stringify(redact(plain(raw ?? {}), gatewayConfig), undefined, 2);
}
