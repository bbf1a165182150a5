import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { defineCommand } from "citty";
import { findDataDir } from "../config/directories.ts";
import { systemClock } from "../sdk/clock.ts";
import { print } from "./print.ts";
import { onHost } from "./service.ts";
import { serviceLines } from "./service-install.ts";
import { supportFiles } from "./support-bundle.ts";
import { tarGz } from "./tar.ts";

/** `tbgw support` */
export const supportCommand = defineCommand({
  meta: {
    name: "support",
    description: "Put what helps to find a fault into one file, without secrets",
  },
  args: {
    config: {
      type: "string",
      valueHint: "DIR",
      description: "Default: that of the service, or of run",
    },
    data: {
      type: "string",
      valueHint: "DIR",
      description: "Default: that of the service, or of run",
    },
    out: {
      type: "string",
      valueHint: "FILE",
      description: "Default: tbgw-support-TIME.tar.gz here",
    },
  },
  run: async ({ args }) => {
    const [env, cwd, clock] = [process.env, process.cwd(), systemClock];
    const nowMs = clock.now();
    const stamp = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
    const out = resolve(cwd, args.out ?? `tbgw-support-${stamp}.tar.gz`);
    const files = await onHost({}, async (host) => {
      const [service] = await serviceLines(env, host);
      const configDir = args.config ?? service?.plan.configDir;
      const dataDir = findDataDir({ dataDir: args.data ?? service?.plan.dataDir, env, cwd });
      return await supportFiles({ configDir, dataDir, env, cwd, clock, host });
    });
    const folder = `tbgw-support-${stamp}`;
    const archived = files.map(({ name, text }) => ({ name: `${folder}/${name}`, text }));
    writeFileSync(out, tarGz(archived, nowMs / 1000), { flag: "wx", mode: 0o600 });
    const names = files.map(({ name, text }) => `  ${name}, ${Buffer.byteLength(text)} bytes\n`);
    await print(
      `${names.join("")}${out}\nSecrets are replaced in it; names of devices, topics and hosts are not: look before you send it.\n`,
    );
    return 0;
  },
});
