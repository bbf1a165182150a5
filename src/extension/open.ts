import { type DirectoryChoice, findConfig } from "../config/directories.ts";
import { ConfigError } from "../sdk/errors.ts";
import type { Logger } from "../sdk/logger.ts";
import { ExtensionCatalogue } from "./catalogue.ts";
import { extensionRoots } from "./roots.ts";

/** What a command is told about extensions. */
export interface ExtensionFlags {
  /** `--extensions`, each as given. */
  readonly extensions: readonly string[];
  /** `--allow-insecure-extensions` */
  readonly allowInsecure: boolean;
}

/** The extensions of a configuration: in the folders that flags, environment, configuration and program lead to. */
export function openExtensions(
  flags: ExtensionFlags,
  choice: DirectoryChoice,
  log: Logger,
): ExtensionCatalogue {
  const roots = extensionRoots({
    flags: flags.extensions,
    env: choice.env,
    configDir: configDirOf(choice),
    executable: process.execPath,
    cwd: choice.cwd,
  });
  return new ExtensionCatalogue({ roots, log, allowInsecure: flags.allowInsecure });
}

function configDirOf(choice: DirectoryChoice): string | undefined {
  try {
    return findConfig(choice).configDir;
  } catch (error) {
    if (error instanceof ConfigError) {
      return undefined; // Whoever loads the configuration says so.
    }
    throw error;
  }
}
