import { dirname, join, resolve } from "node:path";

/** Where a Debian package of the Python gateway keeps extensions; those who know it look here. */
const SYSTEM_ROOT = "/var/lib/thingsboard_gateway/extensions";

/** What the folders are chosen from. */
export interface RootChoice {
  /** `--extensions`, each as given. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Directory of `tb_gateway.json`; `undefined` when there is none. */
  readonly configDir: string | undefined;
  /** Path of the program. */
  readonly executable: string;
  /** Relative paths start here. Default: the working directory. */
  readonly cwd?: string;
}

/**
 * The folders that extensions are looked for in, absolute, in the order of their rank: `--extensions`, `TBGW_EXTENSIONS` (a list
 * with colons), the system's, the one beside the configuration, the one beside the program. They need not exist.
 */
export function extensionRoots(choice: RootChoice): readonly string[] {
  const { flags, env, configDir, executable, cwd = "." } = choice;
  const listed = (env["TBGW_EXTENSIONS"] ?? "").split(":").filter((part) => part.trim() !== "");
  const beside = [...(configDir === undefined ? [] : [configDir]), dirname(executable)];
  const roots = [
    ...[...flags, ...listed].map((path) => resolve(cwd, path)),
    SYSTEM_ROOT,
    ...beside.map((directory) => join(resolve(cwd, directory), "extensions")),
  ];
  return [...new Set(roots)];
}
