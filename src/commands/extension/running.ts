import { systemClock } from "../../sdk/clock.ts";
import { errorText } from "../../sdk/errors.ts";
import type { ExtensionConnectorStatus, ExtensionsReport } from "../../service/extension-status.ts";
import { askGateway, NotRunningError } from "../../service/status-client.ts";
import type { ListedFile } from "./list.ts";
import { tableText } from "./table.ts";

/** What the gateway of a data directory says; `undefined` when none runs there. */
export interface Running {
  readonly dataDir: string;
  readonly report: ExtensionsReport | undefined;
  /** Why nothing is known of a gateway that may run. */
  readonly problem: string | undefined;
}

/** Asks the gateway that runs with a data directory. Never throws. */
export async function askRunning(dataDir: string): Promise<Running> {
  try {
    const request = { get: "extensions" } as const;
    const report = await askGateway<ExtensionsReport>(dataDir, request, systemClock);
    return { dataDir, report, problem: undefined };
  } catch (error) {
    const problem = error instanceof NotRunningError ? undefined : errorText(error);
    return { dataDir, report: undefined, problem };
  }
}

/** What a running gateway has of a file: this version, another one, nothing because nothing asked for it, or it cannot be used. */
export type FileState = "running" | "other-version" | "not-loaded" | "unusable";

/** How the files on disk stand to those of a running gateway; those that it alone has are at the end. */
export function runningFiles(
  listed: readonly ListedFile[],
  { files, connectors }: ExtensionsReport,
): readonly {
  readonly file: string;
  readonly state: FileState;
  readonly sha256: string;
  readonly problem: string | undefined;
}[] {
  const onDisk = new Map(listed.map((one) => [one.file, one.sha256]));
  const versions = new Set(connectors.flatMap((one) => one.converters.map((it) => it.version)));
  const paths = [...onDisk.keys(), ...files.map(({ file }) => file)];
  return [...new Set(paths)].map((file) => {
    const loaded = files.find((one) => one.file === file);
    if (loaded === undefined) {
      const sha256 = onDisk.get(file) ?? "";
      // A connector in a thread of its own loads its converters there.
      const isUsed = sha256 !== "" && versions.has(sha256);
      const state = isUsed ? "running" : "not-loaded";
      return { file, state, sha256, problem: undefined };
    }
    const { sha256, problem } = loaded;
    const isSame = onDisk.get(file) === sha256;
    const state = problem !== undefined ? "unusable" : isSame ? "running" : "other-version";
    return { file, state, sha256, problem };
  });
}

/** What `tbgw extension list` says of the running gateway, for people. */
export function runningText(
  listed: readonly ListedFile[],
  { dataDir, report, problem }: Running,
): string {
  if (report === undefined) {
    return problem === undefined
      ? `No gateway runs with the data directory ${dataDir} (--data DIR for another one)\n`
      : `The gateway cannot be asked: ${problem}\n`;
  }
  const files = runningFiles(listed, report).filter(({ state }) => state !== "not-loaded");
  const head = `The gateway with the data directory ${dataDir} (process ${report.pid})`;
  if (files.length === 0 && report.connectors.length === 0) {
    return `${head} has loaded no extension\n`;
  }
  const fileRows = files.flatMap(({ file, state, sha256, problem: why }) => [
    [STATE_WORDS[state], sha256.slice(0, 12), file],
    ...(why === undefined ? [] : [why]),
  ]);
  const rows = report.connectors.flatMap(connectorRows);
  return [
    `${head} has loaded\n`,
    tableText(["STATE", "SHA-256", "FILE"], fileRows),
    ...(rows.length === 0
      ? []
      : ["\n", tableText(["CONNECTOR", "TYPE", "STATE", "RESTARTS", "ERRORS", "FROM"], rows)]),
  ].join("");
}

const STATE_WORDS: Readonly<Record<FileState, string>> = {
  running: "running",
  "other-version": "another version than the file",
  "not-loaded": "not loaded",
  unusable: "unusable",
};

function connectorRows(one: ExtensionConnectorStatus): readonly (readonly string[] | string)[] {
  const { name, type, state, restarts, detail, file, converters, converterErrors } = one;
  const from = file ?? (converters.length > 0 ? "the program, with converters of extensions" : "-");
  return [
    [name, type, state, String(restarts), String(converterErrors), from],
    ...(detail === undefined ? [] : [detail]),
    ...converters.map(
      ({ kind, name: converter, problem, file: its, version = "" }) =>
        `${kind} ${converter}: ${problem ?? its ?? `${version.slice(0, 12)}, in a thread of its own`}`,
    ),
  ];
}
