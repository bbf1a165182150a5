import { existsSync, readFileSync, renameSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { errorText } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { readDeviceList, writeDeviceList } from "./device-list.ts";
import type { StoredDevice } from "./devices.ts";

/** Name of the file, the one the Python gateway uses. */
export const DEVICES_FILE = "connected_devices.json";

/** Writes are at least this far apart, and a slow disk is left alone for so many times as long as a write took. */
const WRITE_EVERY_MS = 1000;
const REST_FACTOR = 10;
/** Pause after a write that failed. */
const AGAIN_MS = 10_000;

/** Where the devices are kept. */
export interface DeviceFilePlace {
  readonly dataDir: string;
  /** Where a Python gateway kept them: read while there is no file in the data directory, never written. */
  readonly configDir: string | undefined;
}

/** Reads the devices of the run before. A file that cannot be read is set aside and costs one ERROR, never the start. */
export function readDevices(place: DeviceFilePlace, log: Logger): readonly StoredDevice[] {
  const own = join(place.dataDir, DEVICES_FILE);
  const left = place.configDir === undefined ? own : join(place.configDir, DEVICES_FILE);
  const path = existsSync(own) ? own : left;
  if (!existsSync(path)) {
    return [];
  }
  try {
    const { devices, unreadable } = readDeviceList(readFileSync(path, "utf8"));
    const [first] = unreadable;
    if (first !== undefined) {
      log.warn("The list of devices has entries without a device: they are left out", {
        file: path,
        entries: unreadable.length,
        first,
      });
    }
    return devices;
  } catch (error) {
    const kept = path === own ? setAside(path) : path;
    log.error(
      "The list of devices cannot be read: devices are known again with their next data, names given on the platform are lost; put a good copy in its place before a restart",
      { file: path, kept, error },
    );
    return [];
  }
}

/** Gives the file another name, so that the next write does not destroy it; its name from here on. */
function setAside(path: string): string {
  const kept = `${path}.broken`;
  try {
    renameSync(path, kept);
    return kept;
  } catch {
    return path; // Said together with the error that made it necessary.
  }
}

/**
 * Keeps the devices on disk: durably and whole, soon after a change, and never more than once a second unless somebody waits for it.
 * What a disk refuses is tried again.
 */
export class DeviceFile implements AsyncDisposable {
  readonly #path: string;
  readonly #dataDir: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #content: () => readonly StoredDevice[];
  #changed = false;
  #failed = false;
  #timer: Disposable | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  /** Who waits for the next write that succeeds. */
  readonly #waiting = new Set<() => void>();

  constructor(
    dataDir: string,
    deps: { readonly clock: Clock; readonly log: Logger },
    content: () => readonly StoredDevice[],
  ) {
    this.#dataDir = dataDir;
    this.#path = join(dataDir, DEVICES_FILE);
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#content = content;
  }

  /** There is something to be written: at once, or when the pause after the last write is over. */
  changed(): void {
    this.#changed = true;
    if (this.#timer === undefined && this.#writing === undefined && !this.#closed) {
      this.#writeSoon(0);
    }
  }

  /** Resolves when what has changed until now is on the disk, for which it is written without a pause. As long as that fails it waits. */
  async kept(): Promise<void> {
    if (!this.#changed && this.#writing === undefined) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    // A write under way may have begun before the change.
    this.#changed = true;
    if (this.#writing === undefined && !this.#closed) {
      this.#timer?.[Symbol.dispose]();
      this.#writeSoon(0);
    }
    await promise;
  }

  /** Writes what has not been written yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    await this.#writing;
    if (this.#changed) {
      await this.#write();
    }
  }

  #writeSoon(delayMs: number): void {
    this.#timer = this.#clock.timer(delayMs, () => {
      this.#timer = undefined;
      if (this.#changed) {
        this.#writing = this.#writeAndRest();
      }
    });
  }

  async #writeAndRest(): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    await this.#write();
    this.#writing = undefined;
    if (!this.#closed) {
      const tookMs = this.#clock.monotonicMs() - startMs;
      const restMs = this.#waiting.size > 0 ? 0 : Math.max(WRITE_EVERY_MS, REST_FACTOR * tookMs);
      this.#writeSoon(this.#failed ? AGAIN_MS : restMs);
    }
  }

  async #write(): Promise<void> {
    this.#changed = false;
    const waiting = [...this.#waiting];
    try {
      await replaceFile(this.#dataDir, this.#path, writeDeviceList(this.#content()));
      for (const resolve of waiting) {
        this.#waiting.delete(resolve);
        resolve();
      }
      if (this.#failed) {
        this.#log.info("The list of devices is written again", { file: this.#path });
      }
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) {
        this.#log.error("Cannot write the list of devices: it is tried again", {
          file: this.#path,
          error: errorText(error),
        });
      }
      this.#changed = true;
      this.#failed = true;
    }
  }
}

/** Puts `text` in the place of the file, whole or not at all, and on the disk before it resolves. */
async function replaceFile(dir: string, path: string, text: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const part = `${path}.part`;
  const file = await open(part, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, path);
  const folder = await open(dir, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
