import { existsSync, statSync } from "node:fs";
import { UsageError } from "./flags.ts";
import type { ServiceHost } from "./service-host.ts";
import {
  discard,
  listedChecksum,
  type ProgramFiles,
  settle,
  sha256,
  stage,
} from "./upgrade-files.ts";
import { TrialError } from "./upgrade-trial.ts";

/** How the files of a release are packed. */
const PACKED = /\.xz$/;

/** Checks that a file is the one that was published. @throws UsageError when nobody says what it must be; TrialError when it is another */
export async function verify(file: string, given: string | undefined): Promise<void> {
  if (!existsSync(file)) {
    throw new UsageError(`There is no file ${file}`);
  }
  const wanted = given?.toLowerCase() ?? listedChecksum(file);
  if (wanted === undefined) {
    throw new UsageError(
      `The checksum of ${file} is not known: put SHA256SUMS of the release beside it, or say it with --sha256 SUM`,
    );
  }
  if (!/^[0-9a-f]{64}$/.test(wanted)) {
    throw new UsageError(`--sha256 must be 64 hexadecimal digits, but is "${wanted}"`);
  }
  await expectSum(file, wanted, "The file is not the one that was published");
}

/** Whether the program in place is what a file holds. For a packed one the list of the release tells; without it: no. */
export async function isInstalled(source: string, { target }: ProgramFiles): Promise<boolean> {
  if (PACKED.test(source)) {
    const wanted = listedChecksum(source.replace(PACKED, ""));
    return wanted !== undefined && wanted === (await sha256(target));
  }
  return (
    statSync(source).size === statSync(target).size &&
    (await sha256(source)) === (await sha256(target))
  );
}

/** Brings the program that a file holds to its place beside the present one. @throws UsageError, TrialError or Error when it cannot be unpacked */
export async function stageSource(
  source: string,
  files: ProgramFiles,
  host: ServiceHost,
): Promise<void> {
  if (!PACKED.test(source)) {
    await stage(source, files);
    return;
  }
  const unpack = unpackCommand((name) => host.find(name));
  if (unpack === undefined) {
    throw new UsageError(
      `${source} is packed, and neither xz nor busybox is here: unpack it on another machine with "xz -dk" and give the file without .xz`,
    );
  }
  discard(files);
  host.say(`unpacks    ${source}`);
  const script = 'to="$1"; shift; exec "$@" >"$to"';
  const { exitCode, stderr } = await host.ask([
    "sh",
    "-c",
    script,
    "sh",
    files.next,
    ...unpack,
    source,
  ]);
  if (exitCode !== 0) {
    throw new TrialError(`Cannot unpack ${source}: ${stderr.trim() || `exit code ${exitCode}`}`);
  }
  const wanted = listedChecksum(source.replace(PACKED, ""));
  if (wanted !== undefined) {
    await expectSum(files.next, wanted, "What the file holds is not the one that was published");
  }
  settle(files.next);
}

/** A program of this machine that writes to its output what is packed in the file named last. `find` gives the path of a program. */
export function unpackCommand(
  find: (name: string) => string | undefined,
): readonly string[] | undefined {
  const [xz, unxz, busybox] = ["xz", "unxz", "busybox"].map(find);
  if (xz !== undefined) {
    return [xz, "-dc"];
  }
  if (unxz !== undefined) {
    return [unxz, "-c"];
  }
  return busybox === undefined ? undefined : [busybox, "unxz", "-c"];
}

async function expectSum(file: string, wanted: string, otherwise: string): Promise<void> {
  const found = await sha256(file);
  if (found !== wanted) {
    throw new TrialError(`${otherwise}: its SHA-256 is ${found}, and must be ${wanted}`);
  }
}
