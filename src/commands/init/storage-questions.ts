import { DEFAULT_QUOTA_BYTES, FREE_SPACE_SHARE, freeBytes } from "#platform/disk";
import type { JsonRecord } from "../../config/canonical.ts";
import { durationText, sizeText } from "../../service/plain-words.ts";
import type { Interview } from "./interview.ts";

/** Options that are about the storage. */
export const STORAGE_FLAGS = ["storage", "storage-size", "storage-days"] as const;

/** Disk a value takes, at worst: what the event store aims at (`src/storage/README.md` has what was measured). */
const BYTES_PER_VALUE = 12;
/** Values a second that the horizon is told for. */
const RATES = [10, 100, 1000] as const;
const DEFAULT_DAYS = 7;

/** How long a quota lasts while the platform is away: `10 values/s: 100 d, …`; `days` is when values grow too old. */
export function horizonText(quotaBytes: number, days: number): string {
  const parts = RATES.map((perSecond) => {
    const fullMs = (quotaBytes / (BYTES_PER_VALUE * perSecond)) * 1000;
    const oldMs = days === 0 ? Number.POSITIVE_INFINITY : days * 86_400_000;
    return `${perSecond} values/s: ${durationText(Math.min(fullMs, oldMs))}`;
  });
  return parts.join(", ");
}

/** `512MB`, `2 GiB`, `1000000` as bytes; `undefined` when it is none. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = "b"] =
    /^\s*(\d+(?:\.\d+)?)\s*(b|kb|kib|mb|mib|gb|gib|tb|tib|)\s*$/i.exec(text) ?? [];
  const factor = UNITS[unit.toLowerCase() === "" ? "b" : unit.toLowerCase()];
  return digits === undefined || factor === undefined
    ? undefined
    : Math.floor(Number(digits) * factor);
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  kib: 2 ** 10,
  mb: 1e6,
  mib: 2 ** 20,
  gb: 1e9,
  gib: 2 ** 30,
  tb: 1e12,
  tib: 2 ** 40,
};
/** As the schema has it. */
const MIN_BYTES = 65_536;

/** Where data waits while the platform is away, and how much of it. */
export async function askStorage(interview: Interview, dataDir: string): Promise<JsonRecord> {
  const free = freeBytes(dataDir);
  const usable = Math.max(MIN_BYTES, Math.floor(free * FREE_SPACE_SHARE));
  const usual = Math.min(DEFAULT_QUOTA_BYTES, usable);
  const kind = await interview.choose({
    flag: "storage",
    message: `Where does data wait while the platform is away? (${sizeText(free)} free at ${dataDir})`,
    fallback: "durable",
    choices: [
      { value: "durable", label: "On disk, synced", hint: "survives a power cut" },
      {
        value: "relaxed",
        label: "On disk, written when the system likes",
        hint: "a power cut may cost the last seconds; spares an SD card",
      },
      { value: "memory", label: "In memory", hint: "lost at every restart" },
    ],
  });
  if (kind === "memory") {
    interview.say("warn", "In memory: 100,000 records at most, and every restart loses them.");
    return { type: "memory", max_records_count: 100_000 };
  }
  const days = await askDays(interview);
  interview.say("info", horizonLine(usual, days));
  const size = await interview.text({
    flag: "storage-size",
    message: "How much of the disk may it take?",
    fallback: sizeText(usual).replace(" ", ""),
    check: (text) => sizeProblem(text, usable),
  });
  const maxBytes = Math.min(usable, parseSize(size) ?? usual);
  if (sizeText(maxBytes) !== sizeText(usual)) {
    interview.say("info", horizonLine(maxBytes, days));
  }
  return {
    maxBytes,
    ttlDays: days,
    ...(kind === "relaxed" ? { durability: "relaxed" } : {}),
  };
}

function horizonLine(bytes: number, days: number): string {
  return [
    `While the platform is away, ${sizeText(bytes)} last for this long; then the oldest values go:`,
    `  ${horizonText(bytes, days)}`,
  ].join("\n");
}

async function askDays(interview: Interview): Promise<number> {
  const text = await interview.text({
    flag: "storage-days",
    message: "After how many days is a value too old to be sent? (0: never)",
    fallback: String(DEFAULT_DAYS),
    check: (answer) =>
      /^\d+(\.\d+)?$/.test(answer.trim()) ? undefined : "must be a number of days such as 7",
  });
  return Number(text);
}

function sizeProblem(text: string, usable: number): string | undefined {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes < MIN_BYTES) {
    return "must be a size such as 512MiB or 2GB";
  }
  // What the default shows is rounded, perhaps up.
  return bytes > usable * 1.05
    ? `only ${sizeText(usable)} of this disk can be promised (80 % of what is free)`
    : undefined;
}
