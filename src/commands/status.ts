import { defineCommand } from "citty";
import { findDataDir } from "../config/directories.ts";
import { type Clock, systemClock } from "../sdk/clock.ts";
import { errorText } from "../sdk/errors.ts";
import { StopSignal } from "../service/signals.ts";
import { askGateway, NotRunningError } from "../service/status-client.ts";
import type { ConnectorReport, StatusReport } from "../service/status-protocol.ts";
import { connectorText, statusText } from "../service/status-text.ts";
import { print } from "./print.ts";

/** Devices that are listed without `--devices`. */
const FEW_DEVICES = 10;
/** Time between two looks of `--watch`. */
const WATCH_EVERY_MS = 2000;
/** Clears the terminal and goes to its first line. */
const CLEAR = "\u001B[H\u001B[2J";

interface StatusOptions {
  readonly dataDir: string;
  readonly json: boolean;
  readonly devices: number;
  readonly connector: string | undefined;
}

/** `tbgw status` */
export const statusCommand = defineCommand({
  meta: { name: "status", description: "Show a running gateway; exit code 1 when none runs" },
  args: {
    data: {
      type: "string",
      valueHint: "DIR",
      description: "Data directory of the gateway (default: the one that run would use)",
    },
    json: { type: "boolean", description: "Print one JSON object" },
    watch: { type: "boolean", description: "Look again every 2 seconds until Ctrl-C" },
    devices: { type: "boolean", description: "List every device, not only the first ten" },
    connector: {
      type: "string",
      valueHint: "NAME",
      description: "One connector with its counters and configuration",
    },
  },
  run: async ({ args }) => {
    const options = {
      dataDir: findDataDir({ dataDir: args.data, env: process.env, cwd: process.cwd() }),
      json: args.json === true,
      devices: args.devices === true ? Number.MAX_SAFE_INTEGER : FEW_DEVICES,
      connector: args.connector,
    };
    return args.watch === true
      ? await watch(options, systemClock)
      : await showOnce(options, systemClock);
  },
});

async function look(options: StatusOptions, clock: Clock): Promise<string> {
  const { dataDir, json, devices, connector } = options;
  if (connector !== undefined) {
    const request = { get: "connector", name: connector } as const;
    const report = await askGateway<ConnectorReport>(dataDir, request, clock);
    return json ? pretty(report) : connectorText(report);
  }
  const request = { get: "status", devices } as const;
  const report = await askGateway<StatusReport>(dataDir, request, clock);
  return json ? pretty(report) : statusText(report, clock.now());
}

function pretty(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

async function showOnce(options: StatusOptions, clock: Clock): Promise<number> {
  try {
    await print(await look(options, clock));
    return 0;
  } catch (error) {
    process.stderr.write(`tbgw: ${failureText(error, options.dataDir)}\n`);
    return 1;
  }
}

/** Goes on while the gateway is away: it may be restarting. With `--json` one object a line. */
async function watch(options: StatusOptions, clock: Clock): Promise<number> {
  using stop = new StopSignal();
  while (!stop.signal.aborted) {
    let text: string;
    try {
      text = await look(options, clock);
    } catch (error) {
      text = options.json
        ? pretty({ error: failureText(error, options.dataDir) })
        : `${failureText(error, options.dataDir)}\n`;
    }
    if (options.json) {
      await print(`${JSON.stringify(JSON.parse(text))}\n`);
    } else {
      await print(process.stdout.isTTY ? CLEAR + text : `${text}\n`);
    }
    await clock.sleep(WATCH_EVERY_MS, stop.signal).catch(() => undefined);
  }
  return 0;
}

function failureText(error: unknown, dataDir: string): string {
  if (!(error instanceof NotRunningError)) {
    return errorText(error);
  }
  return [
    error.message,
    `Start it with           tbgw run --data ${dataDir}`,
    "If it uses another one  tbgw status --data DIR",
    `What waits in its store tbgw store info --data ${dataDir}`,
  ].join("\n");
}
