import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { REPLACED } from "../bundle-options.ts";

/** A package of which something is inside the program. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX identifier or expression, as the package says. */
  readonly license: string;
  /** Its licence and notice files; empty when it comes without. */
  readonly text: string;
  /** SHA-512 in hexadecimal of what the registry gave, from bun.lock. */
  readonly sha512: string | undefined;
}

/** The folder of a package, in the path of one of its files. */
const PACKAGE_FOLDER = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;
const LICENSE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;
/** Empty packages and ours in the place of others: nothing of third parties. */
const OWN = new Set([
  "empty-npm-package",
  "@abandonware/bluetooth-hci-socket",
  ...Object.keys(REPLACED),
]);
/** Packages that name their licence in their README or LICENSE only. */
const SAID_ELSEWHERE: Readonly<Record<string, string>> = {
  "dequeue@1.0.5": "BSD-2-Clause",
  "precond@0.2.3": "MIT",
};

/** Package folders of which at least one byte is in the output, by the bundler's own account. */
export function bundledFolders(metafile: Bun.BuildMetafile): readonly string[] {
  const folders = new Set<string>();
  for (const output of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
      const folder = PACKAGE_FOLDER.exec(path)?.[0];
      if (folder !== undefined && bytesInOutput > 0) {
        folders.add(folder);
      }
    }
  }
  return [...folders].toSorted();
}

/** Reads what is bundled, by name. @throws Error when a package names no licence: then a person must look */
export async function bundledPackages(
  root: string,
  metafile: Bun.BuildMetafile,
): Promise<readonly BundledPackage[]> {
  const lock = await readFile(join(root, "bun.lock"), "utf8");
  const packages = new Map<string, BundledPackage>();
  for (const folder of bundledFolders(metafile)) {
    const directory = join(root, folder);
    const manifest: unknown = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
    const name = textOf(manifest, "name");
    const version = textOf(manifest, "version");
    if (OWN.has(name)) {
      continue;
    }
    const license = textOf(manifest, "license") || (SAID_ELSEWHERE[`${name}@${version}`] ?? "");
    if (license === "") {
      throw new Error(`Package ${name} ${version} is bundled and names no licence in package.json`);
    }
    const text = await licenseText(directory);
    const sha512 = lockedSha512(lock, `${name}@${version}`);
    packages.set(`${name}@${version}`, { name, version, license, text, sha512 });
  }
  return [...packages.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function textOf(manifest: unknown, key: string): string {
  const value = typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, key) : "";
  const inner = typeof value === "object" && value !== null ? Reflect.get(value, "type") : value;
  return typeof inner === "string" ? inner : "";
}

async function licenseText(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => LICENSE_FILE.test(name));
  const texts = names.toSorted().map((name) => readFile(join(directory, name), "utf8"));
  return (await Promise.all(texts))
    .map((text) => text.replaceAll("\r\n", "\n").trim())
    .join("\n\n");
}

/** The checksum in bun.lock of a package with its version. */
export function lockedSha512(lock: string, nameAndVersion: string): string | undefined {
  const line = lock.split("\n").find((text) => text.includes(`: ["${nameAndVersion}", `));
  const base64 = line === undefined ? undefined : /"sha512-([^"]+)"\],?$/.exec(line)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("hex");
}

/** What `tbgw licenses` prints: a list, then every text once with the packages that it is of. */
export function licensesText(packages: readonly BundledPackage[], runtime: string): string {
  const rows = packages.map(({ name, version, license }) => `  ${name} ${version}: ${license}`);
  const byText = new Map<string, string[]>();
  for (const { name, version, license, text } of packages) {
    const body =
      text === "" ? `The package comes without a licence text; it says: ${license}` : text;
    byText.set(body, [...(byText.get(body) ?? []), `${name} ${version}`]);
  }
  const bar = "=".repeat(78);
  const texts = [...byText].map(([text, of]) => `${bar}\n${of.join("\n")}\n${bar}\n\n${text}\n`);
  return [
    "tbgw is licensed under the Apache License, Version 2.0. Inside the program are:",
    `\n${rows.join("\n")}\n`,
    runtime.trim(),
    `\n${texts.join("\n")}`,
  ].join("\n");
}

/** What the list of parts says about the program itself. */
export interface Product {
  readonly version: string;
  readonly bunVersion: string;
  /** ISO date and time. */
  readonly built: string;
}

/** The parts of the program as CycloneDX 1.5. The same packages give the same text. */
export function cycloneDx(packages: readonly BundledPackage[], product: Product): string {
  const { version, bunVersion, built } = product;
  const components = packages.map(({ name, version: of, license, sha512 }) => ({
    type: "library",
    "bom-ref": packageUrl(name, of),
    name,
    version: of,
    purl: packageUrl(name, of),
    ...(sha512 === undefined ? {} : { hashes: [{ alg: "SHA-512", content: sha512 }] }),
    licenses: [/[\s(]/.test(license) ? { expression: license } : { license: { id: license } }],
  }));
  const runtime = {
    type: "platform",
    "bom-ref": packageUrl("bun", bunVersion),
    name: "bun",
    version: bunVersion,
    purl: packageUrl("bun", bunVersion),
    licenses: [{ license: { id: "MIT" } }],
  };
  const self = {
    type: "application",
    "bom-ref": `tbgw@${version}`,
    name: "tbgw",
    version,
    licenses: [{ license: { id: "Apache-2.0" } }],
  };
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { timestamp: built, component: self },
    components: [runtime, ...components],
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}

/** https://github.com/package-url/purl-spec: the @ of a scope is written %40. */
function packageUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}
