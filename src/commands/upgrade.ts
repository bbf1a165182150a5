import { defineCommand } from "citty";
import { isCompiled } from "#platform/thread";
import { StopSignal } from "../service/signals.ts";
import { UsageError } from "./flags.ts";
import { onHost } from "./service.ts";
import { recover, rollBack, upgrade } from "./upgrade-steps.ts";

/** Longest wait for the gateway, in seconds, unless one is asked for. */
const WAIT_S = 60;

/** `tbgw upgrade` */
export const upgradeCommand = defineCommand({
  meta: {
    name: "upgrade",
    description: "Replace this program, and go back by itself when the gateway is not well with it",
  },
  args: {
    file: {
      type: "positional",
      required: false,
      valueHint: "FILE",
      description: "The new program",
    },
    sha256: {
      type: "string",
      valueHint: "SUM",
      description: "Its checksum (default: from SHA256SUMS in its folder)",
    },
    rollback: { type: "boolean", description: "Go back to the program before the last upgrade" },
    recover: {
      type: "boolean",
      description: "Take back an upgrade that was cut short; the services do it as they start",
    },
    restart: {
      type: "boolean",
      default: true,
      description: "Restart the service (--no-restart: replace the file alone)",
    },
    wait: {
      type: "string",
      valueHint: "SECONDS",
      description: `How long the gateway may take to be well (default: ${WAIT_S})`,
    },
    config: { type: "string", valueHint: "DIR", description: "Default: that of the service" },
    data: { type: "string", valueHint: "DIR", description: "Default: that of the service" },
  },
  run: async ({ args }) => {
    if (!isCompiled) {
      throw new UsageError("Only the built program can be upgraded; these are the sources");
    }
    const seconds = args.wait === undefined ? WAIT_S : Number(args.wait);
    if (!(seconds > 0 && seconds <= 3600)) {
      throw new UsageError(`--wait must be 1 to 3600 seconds, but is "${args.wait}"`);
    }
    const { file } = args;
    const ways = [file !== undefined, args.rollback === true, args.recover === true];
    if (ways.filter(Boolean).length !== 1) {
      throw new UsageError("Say either the file of the new program, --rollback or --recover");
    }
    // Left alone SIGHUP would end it with the terminal: half an upgrade.
    using stop = new StopSignal("reload");
    const request = {
      // The previous program takes the one back that came after it.
      target:
        args.recover === true ? process.execPath.replace(/\.previous$/, "") : process.execPath,
      configDir: args.config,
      dataDir: args.data,
      waitMs: seconds * 1000,
      restart: args.restart,
      env: process.env,
      cwd: process.cwd(),
      commandLine: ["tbgw", ...process.argv.slice(2)].join(" "),
      signal: stop.signal,
    };
    const isWell = await onHost({}, (host) => {
      if (file !== undefined) {
        return upgrade(file, args.sha256, request, host);
      }
      return args.recover === true ? recover(request, host) : rollBack(request, host);
    });
    return isWell ? 0 : 1;
  },
});
