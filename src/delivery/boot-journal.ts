import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type EpochMs, epochMs } from "#sdk/model";

/** Name of the journal in the data folder. It is there only on a machine that has started without the time. */
export const JOURNAL_FILE = "boots.json";
/** How often a machine without the time notes how long it has been running. */
export const NOTE_EVERY_MS = 60_000;

/** Provisional times lie here, 250,000 years before the first real one: within what a `Date` holds, and increasing. */
const FIRST_MS = -8e15;
/** What one boot has for its offsets: 34 years. */
const BOOT_MS = 2 ** 40;
/** Numbers come again after so many boots; the journal remembers far fewer. */
const BOOT_NUMBERS = 2048;
const MAX_BOOTS = 256;

const journalSchema = v.array(
  v.object({
    /** Part of the provisional times of this boot. */
    number: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(BOOT_NUMBERS - 1)),
    /** The kernel's name for the boot. */
    id: v.string(),
    /** Milliseconds from the boot to the last note that the machine was running. */
    lastMs: v.pipe(v.number(), v.minValue(0)),
    /** Epoch milliseconds of the boot, once the time was known during it. */
    startMs: v.optional(v.number()),
  }),
);

/** A start of the machine. */
export type Boot = v.InferOutput<typeof journalSchema>[number];

/** Boots in the order in which they came. */
export type Boots = readonly Boot[];

/** Whether the machine has ever started without the time. */
export function hasJournal(dataDir: string): boolean {
  return existsSync(join(dataDir, JOURNAL_FILE));
}

/** The journal; empty when it is missing or no journal. */
export function readJournal(dataDir: string): Boots {
  try {
    const found: unknown = JSON.parse(readFileSync(join(dataDir, JOURNAL_FILE), "utf8"));
    const parsed = v.safeParse(journalSchema, found);
    return parsed.success ? parsed.output : [];
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && "code" in error)) {
      return [];
    }
    throw error;
  }
}

/** Replaces the journal, durably. @throws Error when the disk refuses. */
export function writeJournal(dataDir: string, boots: Boots): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, JOURNAL_FILE);
  const file = openSync(`${path}.part`, "w", 0o600);
  try {
    writeSync(file, JSON.stringify(boots.slice(-MAX_BOOTS)));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.part`, path);
}

/** The journal with this boot in it, last, and the boot. */
export function withBoot(
  boots: Boots,
  { id, uptimeMs }: { readonly id: string; readonly uptimeMs: number },
): { readonly boots: Boots; readonly boot: Boot } {
  const last = boots.at(-1);
  if (last !== undefined && last.id === id && id !== "" && last.lastMs <= uptimeMs) {
    return { boots, boot: last };
  }
  const number = last === undefined ? 0 : (last.number + 1) % BOOT_NUMBERS;
  const boot: Boot = { number, id, lastMs: uptimeMs };
  return { boots: [...boots, boot], boot };
}

/** The time of a sample taken `offsetMs` after the start of a boot whose time is not known. */
export function provisionalTime(boot: Boot, offsetMs: number): EpochMs {
  return epochMs(FIRST_MS + boot.number * BOOT_MS + offsetMs);
}

/**
 * The real time behind a provisional one: the start of its boot and the offset. A boot during which the time was never known ended
 * before the next one began, and is placed right before it. `undefined`: it cannot be known yet. Any other time
 * comes back as it is.
 */
export function realTime(ts: number, boots: Boots): number | undefined {
  if (!isProvisional(ts)) {
    return ts;
  }
  const number = Math.floor((ts - FIRST_MS) / BOOT_MS);
  const offsetMs = ts - FIRST_MS - number * BOOT_MS;
  const index = boots.findLastIndex((boot) => boot.number === number);
  const startMs = startOf(boots, index);
  return startMs === undefined ? undefined : Math.round(startMs + offsetMs);
}

/** Whether a time stands for one that was not known when the sample was taken. */
export function isProvisional(ts: number): boolean {
  return ts >= FIRST_MS && ts < FIRST_MS + BOOT_NUMBERS * BOOT_MS;
}

function startOf(boots: Boots, index: number): number | undefined {
  // A boot the journal has lost came before those it knows.
  const known = boots.findIndex(({ startMs }, at) => at >= index && startMs !== undefined);
  let startMs = boots[known]?.startMs;
  for (let at = known - 1; at >= Math.max(0, index) && startMs !== undefined; at -= 1) {
    startMs -= (boots[at]?.lastMs ?? 0) + NOTE_EVERY_MS;
  }
  return startMs;
}
