import { OutputTooLongError, runCommand } from "#platform/command";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import { foreignFormat } from "./upgrade-files.ts";

/** A slow board reads a program of 100 MB from its card before it says a word. */
const TRIAL_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** The new program is of no use; why, in words. */
export class TrialError extends Error {
  override readonly name = "TrialError";
}

/** How a program is tried. */
export interface Trial {
  readonly clock: Clock;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Where the configuration is that both programs are asked about. */
export interface TrialPlaces {
  readonly configDir: string;
  readonly dataDir: string;
}

/** The version a program says it has. @throws TrialError when it does not run */
export async function versionOf(program: string, trial: Trial): Promise<string> {
  const foreign = foreignFormat(program);
  if (foreign !== undefined) {
    throw new TrialError(`It cannot run: ${foreign}`);
  }
  const { exitCode, stdout, stderr } = await run([program, "--version"], trial);
  const version = /^tbgw (\S+)\n$/.exec(stdout)?.[1];
  if (exitCode !== 0 || version === undefined) {
    const said = `${stdout}${stderr}`.trim().slice(0, 300);
    throw new TrialError(`It does not run: --version ends with code ${exitCode}: ${said}`);
  }
  return version;
}

/**
 * Asks both programs what they think of the configuration. @throws TrialError when the new one finds mistakes that the present one does not
 */
export async function compareChecks(
  programs: { readonly next: string; readonly present: string },
  places: TrialPlaces,
  trial: Trial,
): Promise<void> {
  const [next, present] = await Promise.all([
    checked(programs.next, places, trial),
    // What the present program thinks matters only where the new one finds something.
    checked(programs.present, places, trial).catch(() => undefined),
  ]);
  const known = new Set(present?.errors);
  const fresh = next.errors.filter((error) => !known.has(error));
  if (fresh.length > 0 || (next.fatal && present?.fatal !== true)) {
    const shown = fresh.slice(0, 5).map((error) => `\n  ${error}`);
    throw new TrialError(`It cannot use the configuration:${shown.join("")}`);
  }
}

interface Checked {
  readonly fatal: boolean;
  readonly errors: readonly string[];
}

async function checked(program: string, places: TrialPlaces, trial: Trial): Promise<Checked> {
  const { configDir, dataDir } = places;
  const argv = [program, "check", "--json", "--config", configDir, "--data", dataDir];
  const { exitCode, stdout, stderr } = await run(argv, trial);
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    const said = `${stdout}${stderr}`.trim().slice(0, 300);
    throw new TrialError(`Its check of the configuration ends with code ${exitCode}: ${said}`);
  }
  return readCheck(value);
}

function readCheck(value: unknown): Checked {
  if (typeof value !== "object" || value === null || !("fatal" in value) || !("issues" in value)) {
    throw new TrialError("Its check of the configuration says nothing that can be read");
  }
  const issues: unknown[] = Array.isArray(value.issues) ? value.issues : [];
  const errors = issues.flatMap((issue) => {
    const fields = new Map<string, unknown>(Object.entries(issue ?? {}));
    const parts = ["file", "path", "message"].map((key) => String(fields.get(key)));
    return fields.get("severity") === "error" ? [parts.join(": ")] : [];
  });
  return { fatal: value.fatal === true, errors };
}

async function run(argv: readonly string[], { clock, signal }: Trial) {
  try {
    const late = clock.deadline(TRIAL_MS, signal);
    return await runCommand(argv, MAX_OUTPUT_BYTES, late);
  } catch (error) {
    signal.throwIfAborted();
    const reason = error instanceof OutputTooLongError ? "it says too much" : errorText(error);
    throw new TrialError(`It does not run: ${reason}`, { cause: error });
  }
}
