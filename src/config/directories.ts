import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ConfigError } from "#sdk/errors";

/** Environment variables as the process got them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where `tb_gateway.json` is looked for, in this order, when nobody says where; the last is under the working directory. */
export const CONFIG_DIRECTORIES: readonly string[] = [
  "/etc/tbgw",
  "/etc/thingsboard-gateway/config",
  "./config",
];

/** Names of the main file; the first that is there counts. */
export const MAIN_FILES: readonly string[] = ["tb_gateway.json", "tb_gateway.yaml"];

/** Where a service keeps its data when it may write there. */
const SYSTEM_DATA_DIRECTORY = "/var/lib/tbgw";

/** What the directories are chosen from. */
export interface DirectoryChoice {
  /** `--config`, as given. */
  readonly configDir?: string | undefined;
  /** `--data`, as given. */
  readonly dataDir?: string | undefined;
  readonly env: Environment;
  /** Working directory; relative paths start there. */
  readonly cwd: string;
  /** Default: `CONFIG_DIRECTORIES`. */
  readonly searched?: readonly string[];
}

/** The configuration directory and the main file in it, absolute. */
export interface ConfigPlace {
  readonly configDir: string;
  readonly mainFile: string;
}

/**
 * The configuration directory: the one given by `--config`, else by `TB_GW_CONFIG_DIR`, else the first of the list that
 * contains the main file. One that was given is never passed over. @throws ConfigError when there is no main file
 */
export function findConfig(choice: DirectoryChoice): ConfigPlace {
  const given = choice.configDir ?? nonEmpty(choice.env["TB_GW_CONFIG_DIR"]);
  const searched = given === undefined ? (choice.searched ?? CONFIG_DIRECTORIES) : [given];
  for (const directory of searched) {
    const configDir = resolve(choice.cwd, directory);
    const name = MAIN_FILES.find((file) => existsSync(join(configDir, file)));
    if (name !== undefined) {
      return { configDir, mainFile: join(configDir, name) };
    }
  }
  throw new ConfigError(...notFound(choice, given, searched));
}

function notFound(
  choice: DirectoryChoice,
  given: string | undefined,
  searched: readonly string[],
): ConstructorParameters<typeof ConfigError> {
  if (given === undefined) {
    const message = `not found in ${searched.join(", ")}; say where it is with --config DIR, or let "tbgw init" write one`;
    return ["tb_gateway.json", [{ path: "$", message }]];
  }
  const source = choice.configDir === undefined ? "TB_GW_CONFIG_DIR" : "--config";
  const directory = resolve(choice.cwd, given);
  let message = `${source} names a directory without tb_gateway.json; "tbgw init" writes one`;
  if (!existsSync(directory)) {
    message = `${source} names a directory that is not there; "tbgw init" makes one`;
  } else if (!statSync(directory).isDirectory()) {
    message = `${source} must name the directory of tb_gateway.json, not a file`;
  }
  return [directory, [{ path: "$", message }]];
}

/**
 * The data directory: `--data`, else `TBGW_DATA_DIR`, else the first of `STATE_DIRECTORY` (set by systemd), else
 * `/var/lib/tbgw` if it can be written or created, else `./data`. Nothing is created here.
 */
export function findDataDir(choice: DirectoryChoice): string {
  const { dataDir, env, cwd } = choice;
  // systemd separates several directories by colons (systemd.exec, StateDirectory=).
  const [state] = (env["STATE_DIRECTORY"] ?? "").split(":");
  const given = dataDir ?? nonEmpty(env["TBGW_DATA_DIR"]) ?? nonEmpty(state);
  if (given !== undefined) {
    return resolve(cwd, given);
  }
  return canWrite(SYSTEM_DATA_DIRECTORY) ? SYSTEM_DATA_DIRECTORY : resolve(cwd, "./data");
}

/** Whether files can be made in `directory`, or the directory itself where it is missing. */
function canWrite(directory: string): boolean {
  const probed = existsSync(directory) ? directory : dirname(directory);
  try {
    accessSync(probed, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** An empty variable counts as one that is not set: container files write it so. */
export function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
