import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { ConfigError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { isJsonObject } from "#sdk/model";
import type { ConnectorExtensions } from "../../config/connectors.ts";
import type { Environment } from "../../config/directories.ts";
import { MAIN_FILES } from "../../config/directories.ts";
import { type LoadedConfiguration, loadConfiguration } from "../../config/load.ts";
import { readDocument } from "../../config/text-file.ts";
import type { connectorTypes } from "../../connector/registry.ts";
import type { TrialResult } from "../../thingsboard/trial.ts";
import { UsageError } from "../flags.ts";
import { askConnectors } from "./connector-questions.ts";
import {
  allFiles,
  type Draft,
  EMPTY_DRAFT,
  MAIN_FILE,
  withPlatform,
  withStorage,
} from "./draft.ts";
import { earlierAnswers } from "./earlier-answers.ts";
import { importFolder } from "./import-folder.ts";
import { Cancelled, type Interview } from "./interview.ts";
import { type PlatformAnswers, platformJson, trialAdvice } from "./platform-json.ts";
import {
  askPlatform,
  CREDENTIAL_FLAGS,
  PLACE_FLAGS,
  PLATFORM_FLAGS,
} from "./platform-questions.ts";
import { tryPlatform } from "./platform-trial.ts";
import { lookAt } from "./probing.ts";
import { rehearse, type SavedFile, save } from "./save.ts";
import { askStorage, STORAGE_FLAGS } from "./storage-questions.ts";
import { savedText, secretFiles } from "./summary.ts";

/** What a wizard works with. */
export interface WizardHost {
  readonly interview: Interview;
  readonly configDir: string;
  readonly dataDir: string;
  /** Folder to start from, absolute. */
  readonly importDir: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  readonly connectorTypes: typeof connectorTypes;
  /** Connectors of extensions. Default: there are none. */
  readonly extensions?: ConnectorExtensions | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a wizard has made. */
export interface WizardResult {
  /** Empty after `--dry-run`. */
  readonly saved: readonly SavedFile[];
  /** What there is and where, for a person. */
  readonly text: string;
}

type TrialSuccess = TrialResult & { readonly ok: true };

/** Where the questions start. */
interface Start {
  readonly draft: Draft;
  readonly asksPlatform: boolean;
  readonly asksStorage: boolean;
  /** The person wants files that are there to be replaced. */
  readonly replaces: boolean;
}

/**
 * Asks, tries and looks until there is a configuration that loads, then writes it: all files or none, and none before the last question.
 * @throws Cancelled, UsageError, ConfigError, TransientError, or the signal's reason
 */
export async function runWizard(host: WizardHost, signal: AbortSignal): Promise<WizardResult> {
  const { interview } = host;
  const start = await begin(host);
  let { draft } = start;
  if (start.asksPlatform) {
    draft = await platformStep(draft, host, signal);
  } else if (host.importDir !== undefined && interview.flag("test") !== false) {
    await tryImported(draft, host, signal);
  }
  if (start.asksStorage) {
    draft = withStorage(draft, await askStorage(interview, host.dataDir));
  }
  const look = async (type: string, options: Readonly<Record<string, string | boolean>>) => {
    const definition = (await host.connectorTypes[type]?.())?.default;
    if (definition === undefined) {
      throw new UsageError(`There are no connectors of type "${type}"`);
    }
    const found = (text: string): void => interview.say("info", text);
    const asked = { ...probeFlags(interview, type, definition.probeArgs), ...options };
    return await lookAt(definition, asked, { ...host, found }, signal);
  };
  draft = await askConnectors(interview, draft, { look, cwd: host.cwd });
  return await finish(draft, start, host);
}

/** Options of a probe that the command line says and nobody asks about. */
function probeFlags(
  interview: Interview,
  type: string,
  args: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, string | boolean>> {
  const flags: Record<string, string | boolean> = {};
  for (const name of Object.keys(args)) {
    const value = interview.flag(`${type}-${name}`);
    if (value !== undefined) {
      flags[name] = value;
    }
  }
  return flags;
}

async function begin(host: WizardHost): Promise<Start> {
  const { interview, configDir, importDir } = host;
  const mode = await existingMode(host);
  const asksPlatform = mode !== "add" || interview.given(...PLATFORM_FLAGS);
  const asksStorage = mode !== "add" || interview.given(...STORAGE_FLAGS);
  const replaces = mode === "replace";
  if (importDir !== undefined) {
    return { ...(await beginWithImport(importDir, host)), replaces };
  }
  if (mode === "add") {
    const file = join(configDir, MAIN_FILE);
    const { document, issues } = readDocument(file);
    if (document === undefined || !isJsonObject(document.value)) {
      throw new ConfigError(file, issues);
    }
    const main = document.value;
    const { answers, secrets } = earlierAnswers(main);
    interview.suggest(answers, secrets);
    const draft = { main, files: [], kept: namesIn(configDir) };
    return { draft, asksPlatform, asksStorage, replaces };
  }
  const kept = replaces ? [] : namesIn(configDir);
  return { draft: { ...EMPTY_DRAFT, kept }, asksPlatform, asksStorage, replaces };
}

async function beginWithImport(dir: string, host: WizardHost): Promise<Omit<Start, "replaces">> {
  const { interview } = host;
  const { draft, notes, hasPlatform } = await importFolder({ ...host, dir });
  interview.say("step", `Imported from ${dir}: ${draft.files.length + 1} files`);
  for (const note of notes) {
    interview.say(note.startsWith("left out") ? "warn" : "info", note);
  }
  const { answers, secrets } = earlierAnswers(draft.main);
  interview.suggest(answers, secrets);
  const { storage } = draft.main;
  const isLost = isJsonObject(storage) && storage["type"] === "memory";
  if (isLost) {
    interview.say(
      "warn",
      "There, data waits in memory and is lost at a restart; here it can be on disk",
    );
  }
  return {
    draft,
    asksPlatform: !hasPlatform || interview.given(...PLATFORM_FLAGS),
    asksStorage: isLost || storage === undefined || interview.given(...STORAGE_FLAGS),
  };
}

/** What to do with a configuration that is there already. */
async function existingMode({
  interview,
  configDir,
  importDir,
}: WizardHost): Promise<"new" | "add" | "replace"> {
  const name = MAIN_FILES.find((file) => existsSync(join(configDir, file)));
  if (name === undefined) {
    return "new";
  }
  const isJson = name === MAIN_FILE;
  const answer = await interview.choose({
    flag: "existing",
    message: `There is a configuration in ${configDir}. What now?`,
    choices: [
      ...(isJson && importDir === undefined
        ? [{ value: "add", label: "Add connectors to it", hint: "the rest stays" }]
        : []),
      { value: "replace", label: "Begin anew", hint: "the old files stay beside it as .bak" },
      { value: "keep", label: "Leave it as it is" },
    ],
  });
  if (answer === "keep") {
    throw new Cancelled();
  }
  return answer === "add" ? "add" : "replace";
}

async function platformStep(before: Draft, host: WizardHost, signal: AbortSignal): Promise<Draft> {
  const { interview } = host;
  while (true) {
    const answers = await askPlatform(interview, host.cwd);
    const draft = withPlatform(before, platformJson(answers));
    if (interview.flag("test") === false || (await isAccepted(draft, host, answers, signal))) {
      return draft;
    }
  }
}

/** Connects until the person is content with the outcome; false: the answers are to be changed. */
async function isAccepted(
  draft: Draft,
  host: WizardHost,
  answers: PlatformAnswers,
  signal: AbortSignal,
): Promise<boolean> {
  const { interview } = host;
  while (true) {
    const failure = await tryDraft(draft, host, answers, signal);
    if (failure === undefined) {
      return true;
    }
    if (!interview.hasPerson && interview.flag("after-test") !== "anyway") {
      const { text } = failure;
      throw new TransientError(`${text}\nNothing was written. --no-test leaves this test out.`);
    }
    interview.say("bad", failure.text);
    const isRefused = failure.state === "refused";
    const next = await interview.choose({
      flag: "after-test",
      message: "What next?",
      fallback: isRefused ? "credentials" : "change",
      choices: [
        ...(isRefused ? [{ value: "credentials", label: "Change the credentials" }] : []),
        { value: "change", label: "Change the answers" },
        { value: "retry", label: "Try once more" },
        { value: "anyway", label: "Go on: the platform will be there later" },
      ],
    });
    interview.askAgain("after-test");
    if (next === "anyway") {
      return true;
    }
    if (next !== "retry") {
      interview.askAgain(...(next === "credentials" ? CREDENTIAL_FLAGS : PLATFORM_FLAGS));
      interview.keep(...(next === "credentials" ? PLACE_FLAGS : []));
      return false;
    }
  }
}

/** The platform of a folder that works elsewhere: that it cannot be reached from here is to be known, and no reason to end. */
async function tryImported(draft: Draft, host: WizardHost, signal: AbortSignal): Promise<void> {
  const { answers } = earlierAnswers(draft.main);
  const { host: name = "", port = "", tls } = answers;
  const place = { host: name, port: Number(port || 1883), tls: tls === "true" };
  const failure = await tryDraft(draft, host, place, signal);
  if (failure !== undefined) {
    host.interview.say("warn", failure.text);
  }
}

/** Connects to the platform of a draft; resolves with what is wrong and what helps, if anything is. */
async function tryDraft(
  draft: Draft,
  host: WizardHost,
  place: Pick<PlatformAnswers, "host" | "port" | "tls">,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly state: string } | undefined> {
  const { interview } = host;
  using rehearsal = rehearse(host.configDir, allFiles(draft));
  const loaded = await load(host, rehearsal.dir);
  if (loaded.fatal) {
    const text = loaded.issues.map(({ path, message }) => `${path}: ${message}`).join("\n");
    return { text, state: "down" };
  }
  interview.say("step", `Connecting to ${place.host}:${place.port} …`);
  const result = await tryPlatform(loaded, host, signal);
  if (result.ok) {
    interview.say("good", `${answerText(result)}${roleText(result, loaded)}.`);
    return undefined;
  }
  const { message, state } = result;
  const advice = trialAdvice(result, place);
  return { text: advice === "" ? message : `${message}\n${advice}`, state };
}

function answerText({ host, protocol }: TrialSuccess): string {
  return `The platform answers (${host}, ${protocol === "5" ? "MQTT 5" : "MQTT 3.1.1"})`;
}

function roleText(
  { isGateway, isShared }: TrialSuccess,
  { provisioning }: LoadedConfiguration,
): string {
  if (provisioning !== undefined) {
    return "; it is asked for credentials when the gateway starts";
  }
  if (isShared) {
    return "; another client uses these credentials: does a gateway run with them already?";
  }
  return isGateway === true ? ", and takes this device for a gateway" : "";
}

async function load(host: WizardHost, configDir: string): Promise<LoadedConfiguration> {
  const { dataDir, env, cwd, connectorTypes: types, extensions } = host;
  const place = { configDir, dataDir, env, cwd };
  return await loadConfiguration({ ...place, connectorTypes: types, extensions });
}

async function finish(draft: Draft, start: Start, host: WizardHost): Promise<WizardResult> {
  const { interview, configDir } = host;
  const files = allFiles(draft);
  const loaded = await checked(draft, host);
  const overwritten = start.replaces ? [] : clashes(draft, configDir);
  if (overwritten.length > 0 && interview.flag("existing") !== "replace") {
    const isWanted = await interview.confirm({
      flag: "overwrite",
      message: `These files are there already: ${overwritten.join(", ")}. Replace them? (they stay as .bak)`,
      fallback: false,
    });
    if (!isWanted) {
      throw new UsageError(
        `Nothing was written: ${overwritten.join(", ")} would be replaced. --overwrite allows it.`,
      );
    }
  }
  const secret = secretFiles(files, loaded.secrets);
  const text = savedText({ configDir, files, secret, loaded });
  if (interview.flag("dry-run") === true) {
    return { saved: [], text };
  }
  interview.say("info", text);
  const isWanted = await interview.confirm({
    flag: "write",
    message: `Write this to ${configDir}?`,
    fallback: true,
  });
  if (!isWanted) {
    throw new Cancelled();
  }
  return { saved: save({ configDir, files, secret }), text: "" };
}

/** Loads the draft as `tbgw check` does. @throws ConfigError when it has errors and nobody wants them */
async function checked(draft: Draft, host: WizardHost): Promise<LoadedConfiguration> {
  const { interview, configDir } = host;
  using rehearsal = rehearse(configDir, allFiles(draft));
  const loaded = await load(host, rehearsal.dir);
  const issues = loaded.issues.map((issue) => ({
    ...issue,
    file: issue.file.replace(rehearsal.dir, configDir),
  }));
  for (const { severity, file, path, message } of issues) {
    if (severity === "warning") {
      interview.say("warn", `${file}: ${path}: ${message}`);
    }
  }
  const errors = issues.filter(({ severity }) => severity === "error");
  if (errors.length === 0) {
    return loaded;
  }
  for (const { file, path, message } of errors) {
    interview.say("bad", `${file}: ${path}: ${message}`);
  }
  const isWanted = await interview.confirm({
    flag: "with-errors",
    message: "Write it all the same?",
    fallback: false,
  });
  if (!isWanted) {
    throw new ConfigError(configDir, errors);
  }
  return loaded;
}

/** Files that would be replaced without anybody having said so. */
function clashes({ files, kept }: Draft, configDir: string): readonly string[] {
  const own = new Set(kept);
  return files
    .map(({ name }) => name)
    .filter((name) => !own.has(name) && existsSync(join(configDir, name)));
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
