import * as v from "valibot";
import { field, optional } from "#sdk/config";
import type { StorageSettings } from "../storage/event-store.ts";
import { atLeast, whole } from "./values.ts";

/** The `storage` section: the keys of the Python gateway choose quota and policy, our own keys say them outright. */
export const storage = v.looseObject({
  type: optional(v.picklist(["memory", "file", "sqlite"]), {
    doc: "`sqlite` and `file`: a durable store on disk. `memory`: a ring in memory, lost at a restart. Without it: `sqlite`, durable.",
  }),
  maxBytes: optional(whole(65_536), {
    doc: "Quota on disk in real bytes. Default: what `type` and its keys come to, else the smaller of 1 GiB and 80 % of the free space.",
    unit: "bytes",
  }),
  ttlDays: optional(atLeast(0), {
    doc: "Records older than this are dropped and counted; 0 keeps them for ever. Default: `messages_ttl_in_days`.",
    unit: "days",
  }),
  whenFull: optional(v.picklist(["drop-oldest", "drop-newest", "wait"]), {
    doc: "At the quota: drop the oldest records, refuse further ones, or make the sources wait. Default: `drop-oldest`, for `memory` `drop-newest`.",
  }),
  durability: field(v.picklist(["durable", "relaxed"]), "durable", {
    doc: "`durable` syncs each commit to the disk. `relaxed` leaves that to the operating system: a power cut may cost the last seconds.",
  }),
  commitIntervalMs: field(atLeast(0), 250, {
    doc: "Longest time that data nobody waits for is held back for a common commit.",
    unit: "ms",
  }),
  drain: field(v.picklist(["fifo"]), "fifo", {
    doc: "After an outage everything is sent in order, the oldest first. There is no other order yet.",
  }),
  max_records_count: field(whole(1), 10_000, { doc: "`memory`: capacity.", unit: "records" }),
  data_folder_path: field(v.string(), "./", {
    doc: "`file`: where a Python gateway left its records; they are taken over once at the first start.",
    reference: true,
  }),
  max_file_count: field(whole(1), 5, {
    doc: "`file`: with `max_records_per_file` the quota, 1 KiB a record, at least 1 GiB.",
  }),
  max_records_per_file: field(whole(1), 3, { doc: "`file`: see `max_file_count`." }),
  data_file_path: field(v.string(), "./", {
    doc: "`sqlite`: where a Python gateway left its database; its records are taken over once at the first start.",
    reference: true,
  }),
  messages_ttl_in_days: field(atLeast(0), 7, {
    doc: "Age at which records are dropped.",
    unit: "days",
  }),
  size_limit: field(atLeast(1), 1024, {
    doc: "`sqlite`: with `max_db_amount` the quota.",
    unit: "MB",
  }),
  max_db_amount: field(whole(1), 10, { doc: "`sqlite`: see `size_limit`." }),
  read_records_count: ignored("Pack size of the Python gateway."),
  max_records_between_fsync: ignored("Sync count of the Python gateway."),
  max_read_records_count: ignored("Pack size of the Python gateway."),
  messages_ttl_check_in_hours: ignored("Check period of the Python gateway."),
  writing_batch_size: ignored("Batch size of the Python gateway."),
  oversize_check_period: ignored("Check period of the Python gateway."),
  ts: ignored("Written by remote configuration."),
});

function ignored(doc: string) {
  return optional(v.unknown(), { doc, ignored: true });
}

/** Records of a Python gateway to be taken over. */
export interface LeftBehind {
  /** `sqlite`: `data*.db` files; `file`: `data_*.txt` files with `state_file.txt`. */
  readonly kind: "sqlite" | "file";
  /** The folder as the configuration names it; a relative one was meant against the working directory. */
  readonly folder: string;
}

/** What the `storage` section comes to. */
export interface StoragePlan {
  readonly settings: StorageSettings;
  /** `undefined` for a memory store, which leaves nothing. */
  readonly leftBehind: LeftBehind | undefined;
}

const DAY_MS = 86_400_000;
const GIB = 2 ** 30;

/**
 * The settings of the event store. `maxBytes` does not know the disk: whoever opens the store caps it at 80 % of the free
 * space.
 */
export function toStoragePlan(section: v.InferOutput<typeof storage>): StoragePlan {
  const memory = section.type === "memory";
  const settings: StorageSettings = {
    kind: memory ? "memory" : "sqlite",
    maxRecords: section.max_records_count,
    maxBytes: section.maxBytes ?? quotaOf(section),
    ttlMs: (section.ttlDays ?? section.messages_ttl_in_days) * DAY_MS,
    whenFull: section.whenFull ?? (memory ? "drop-newest" : "drop-oldest"),
    durability: section.durability,
    commitIntervalMs: section.commitIntervalMs,
    drain: section.drain,
  };
  return { settings, leftBehind: leftBehindOf(section) };
}

function quotaOf(section: v.InferOutput<typeof storage>): number | undefined {
  switch (section.type) {
    case "file":
      return Math.max(GIB, section.max_file_count * section.max_records_per_file * 1024);
    case "sqlite":
      return Math.floor(section.size_limit * section.max_db_amount * 1e6);
    case "memory":
    case undefined:
      return undefined;
  }
}

function leftBehindOf(section: v.InferOutput<typeof storage>): LeftBehind | undefined {
  switch (section.type) {
    case "file":
      return { kind: "file", folder: section.data_folder_path };
    case "sqlite": {
      // Only the part up to the last "/" counts: the Python gateway names the file itself.
      const end = section.data_file_path.lastIndexOf("/") + 1;
      const folder = section.data_file_path.slice(0, end);
      return { kind: "sqlite", folder: folder === "" ? "./" : folder };
    }
    case "memory":
    case undefined:
      return undefined;
  }
}
