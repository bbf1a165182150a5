import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ServiceHost } from "./service-host.ts";
import type { ServicePlan } from "./service-plan.ts";

/** Numbers of a user and its main group. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** Highest number of a system user, and the lowest. */
const SYSTEM_IDS = { highest: 999, lowest: 100 };

/** A user of the machine or image; `undefined` when there is none. */
export function findUser(host: ServiceHost, name: string): UserIds | undefined {
  const line = (host.read("/etc/passwd") ?? "")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid = "", gid = ""] = line?.split(":") ?? [];
  return uid === "" ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/**
 * Makes the system user of a service, unless it is there, and puts it into the groups of the serial ports.
 * @throws Error when the machine has no program for that
 */
export async function provideUser(
  host: ServiceHost,
  { user, dataDir, groups }: ServicePlan,
): Promise<void> {
  if (findUser(host, user) === undefined) {
    await createUser(host, user, dataDir);
  }
  const groupFile = host.read("/etc/group") ?? "";
  for (const group of groups) {
    const line = groupFile.split("\n").find((one) => one.startsWith(`${group}:`));
    const members = line?.split(":")[3]?.split(",") ?? [];
    if (!members.includes(user) && user !== "root") {
      await joinGroup(host, user, group);
    }
  }
}

async function createUser(host: ServiceHost, user: string, home: string): Promise<void> {
  if (!host.isLive) {
    createInImage(host, user, home);
  } else if (host.find("useradd") !== undefined) {
    const shell = ["--shell", "/usr/sbin/nologin"];
    const options = ["--system", "--user-group", "--no-create-home", "--home-dir", home];
    await host.run(["useradd", ...options, ...shell, user]);
  } else {
    await host.run(["addgroup", "-S", user]); // Busybox.
    await host.run(["adduser", "-S", "-D", "-H", "-h", home, "-G", user, user]);
  }
}

async function joinGroup(host: ServiceHost, user: string, group: string): Promise<void> {
  if (!host.isLive) {
    const text = (host.read("/etc/group") ?? "").replace(
      new RegExp(`^(${group}:[^:]*:[^:]*:)(.*)$`, "m"),
      (_line, head: string, members: string) =>
        `${head}${members === "" ? user : `${members},${user}`}`,
    );
    host.write("/etc/group", text, 0o644);
  } else if (host.find("usermod") !== undefined) {
    await host.run(["usermod", "-aG", group, user]);
  } else {
    await host.run(["addgroup", user, group]);
  }
}

/** No program of another machine's image can be run: the lines are added to its files. */
function createInImage(host: ServiceHost, user: string, home: string): void {
  const passwd = host.read("/etc/passwd") ?? "";
  const group = host.read("/etc/group") ?? "";
  const used = new Set(`${passwd}\n${group}`.split("\n").map((line) => Number(line.split(":")[2])));
  let id = SYSTEM_IDS.highest;
  while (used.has(id) && id > SYSTEM_IDS.lowest) {
    id -= 1;
  }
  const append = (text: string, line: string): string =>
    `${text.replace(/\n*$/, text.trim() === "" ? "" : "\n")}${line}\n`;
  host.write("/etc/passwd", append(passwd, `${user}:x:${id}:${id}::${home}:/sbin/nologin`), 0o644);
  host.write("/etc/group", append(group, `${user}:x:${id}:`), 0o644);
  const shadow = host.read("/etc/shadow");
  if (shadow !== undefined) {
    host.write("/etc/shadow", append(shadow, `${user}:!:::::::`), 0o640);
  }
}

/** In words why a service must not take a folder: somebody else than root or its user owns something there. */
export function foreignOwner(
  host: ServiceHost,
  folder: string,
  ids: UserIds | undefined,
): string | undefined {
  const path = join(host.root, folder);
  if (!host.exists(folder)) {
    return undefined;
  }
  for (const entry of ["", ...readdirSync(path, { encoding: "utf8" })]) {
    const owner = statSync(join(path, entry), { throwIfNoEntry: false })?.uid;
    if (owner !== undefined && owner !== 0 && owner !== ids?.uid) {
      const name = (host.read("/etc/passwd") ?? "")
        .split("\n")
        .find((line) => line.split(":")[2] === String(owner))
        ?.split(":")[0];
      return `${join(folder, entry)} belongs to the user ${name ?? owner}`;
    }
  }
  return undefined;
}
