import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
const requirements = join(import.meta.dir, "requirements.txt");

/** One environment for each state of the requirements, so that a change makes another. */
const environment = join(root, ".venv", Bun.hash(readFileSync(requirements)).toString(16));

/**
 * The Python in whose environment the packages of `requirements.txt` are: peers that we have not written. Made at the first call; test
 * files that ask at the same time wait for each other. @throws Error that says what is missing: a peer that is not there is a failure
 */
export async function pythonWithPeers(): Promise<string> {
  const python = join(environment, "bin/python");
  const ready = join(environment, "ready");
  if (!existsSync(ready)) {
    await mkdir(join(root, ".venv"), { recursive: true });
    const script = `
      set -e
      [ -e "$READY" ] && exit 0
      python3 -m venv --clear "$DIR"
      "$DIR/bin/pip" install --quiet --disable-pip-version-check -r "$REQUIREMENTS"
      touch "$READY"
    `;
    const child = Bun.spawn(["flock", join(root, ".venv/lock"), "sh", "-c", script], {
      env: { ...process.env, DIR: environment, READY: ready, REQUIREMENTS: requirements },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if ((await child.exited) !== 0) {
      throw new Error(`Cannot make ${environment}; is python3-venv installed? ${out}${err}`);
    }
  }
  return python;
}
