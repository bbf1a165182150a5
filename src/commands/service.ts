import { resolve } from "node:path";
import { defineCommand } from "citty";
import { systemClock } from "../sdk/clock.ts";
import { UsageError } from "./flags.ts";
import { print } from "./print.ts";
import { ServiceHost } from "./service-host.ts";
import { installService, serviceLines, uninstallService } from "./service-install.ts";
import { SERVICE_KINDS, type ServiceKind } from "./service-plan.ts";

const kinds = {
  systemd: { type: "boolean", description: "A unit of systemd" },
  openrc: { type: "boolean", description: "A script of OpenRC" },
  cron: { type: "boolean", description: "Lines of cron; works without root too" },
} as const;

const place = {
  root: {
    type: "string",
    valueHint: "DIR",
    description: "The files of another machine, such as an image: nothing is run",
  },
  "dry-run": { type: "boolean", description: "Say what would be done, and do nothing" },
} as const;

interface Kinds {
  readonly systemd?: boolean | undefined;
  readonly openrc?: boolean | undefined;
  readonly cron?: boolean | undefined;
}

/** @throws UsageError for more than one */
function kindOf(args: Kinds): ServiceKind | undefined {
  const given = SERVICE_KINDS.filter((kind) => args[kind] === true);
  if (given.length > 1) {
    throw new UsageError(`Only one of ${given.map((kind) => `--${kind}`).join(" and ")} can be`);
  }
  return given[0];
}

/** Runs something on this machine, or in the files of another, and prints what it says, as it says it. */
export async function onHost<T>(
  args: { readonly root?: string | undefined; readonly "dry-run"?: boolean | undefined },
  act: (host: ServiceHost) => Promise<T>,
): Promise<T> {
  let printed: Promise<void> = Promise.resolve();
  const host = new ServiceHost({
    clock: systemClock,
    root: args.root === undefined ? "/" : resolve(args.root),
    dryRun: args["dry-run"] === true,
    say: (line) => {
      printed = printed.then(() => print(`${line}\n`));
    },
  });
  try {
    return await act(host);
  } finally {
    await printed;
  }
}

/** The command as it was typed; another command may lead here too. */
function commandLine(): string {
  const [name = "", ...rest] = process.argv.slice(2);
  return name === "service" ? ["tbgw", name, ...rest].join(" ") : "tbgw service install";
}

const install = defineCommand({
  meta: { name: "install", description: "Keep the gateway running, also after a restart" },
  args: {
    ...kinds,
    user: { type: "string", valueHint: "NAME", description: "Who runs it (default: tbgw)" },
    config: { type: "string", valueHint: "DIR", description: "Directory with tb_gateway.json" },
    data: { type: "string", valueHint: "DIR", description: "Directory for the event store" },
    binary: { type: "string", valueHint: "FILE", description: "Program (default: this one)" },
    start: { type: "boolean", default: true, description: "Start it at once (--no-start: do not)" },
    ...place,
  },
  run: async ({ args }) => {
    const plan = await onHost(args, (host) =>
      installService(
        {
          kind: kindOf(args),
          user: args.user,
          configDir: args.config,
          dataDir: args.data,
          binary: args.binary,
          start: args.start,
          env: process.env,
          cwd: process.cwd(),
          commandLine: commandLine(),
        },
        host,
      ),
    );
    await print(`tbgw is a service of ${plan.kind}, run by ${plan.user}.\n`);
    return 0;
  },
});

const uninstall = defineCommand({
  meta: { name: "uninstall", description: "Remove the service; configuration and data stay" },
  args: { ...kinds, ...place },
  run: async ({ args }) => {
    const request = { kind: kindOf(args), env: process.env, commandLine: commandLine() };
    await onHost(args, (host) => uninstallService(request, host));
    return 0;
  },
});

const status = defineCommand({
  meta: { name: "status", description: "Which service there is; exit code 1 unless it runs" },
  args: { json: { type: "boolean", description: "Print one JSON object" } },
  run: async ({ args }) => {
    const services = await onHost({}, (host) => serviceLines(process.env, host));
    if (args.json === true) {
      await print(`${JSON.stringify({ services }, undefined, 2)}\n`);
    } else if (services.length === 0) {
      await print("No service is installed: tbgw service install\n");
    }
    for (const { plan, text } of args.json === true ? [] : services) {
      const { kind, user, binary, configDir, dataDir } = plan;
      await print(
        `${kind}: ${text}\n  user ${user}, program ${binary}\n  configuration ${configDir}, data ${dataDir}\n`,
      );
    }
    return services.some(({ running }) => running) ? 0 : 1;
  },
});

/** `tbgw service install`, `tbgw service uninstall` and `tbgw service status`. */
export const serviceCommand = defineCommand({
  meta: { name: "service", description: "Run the gateway as a service of this machine" },
  subCommands: { install, uninstall, status },
});
