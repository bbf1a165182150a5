import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createSelfSigned, type KeyPair } from "./self-signed.ts";

/** The platform's answer to a provisioning request, in the data directory. */
export const CREDENTIALS_FILE = ".credentials";
/** The certificate that the gateway made for itself, in the data directory. */
export const CERTIFICATE_FILE = "cert.pem";
/** Its private key. */
export const KEY_FILE = "key.pem";

const COMMON_NAME = "localhost";
/** No such file, or no such directory. */
const MISSING: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"]);

/**
 * Writes a file that only the owner can read, all or nothing: under another name, to the disk, then renamed. Makes the
 * directory when it is missing. @throws Error of the file system; the file is as it was before.
 */
export async function writeSecret(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await rm(temporary, { force: true });
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(text);
      // What the umask took away the owner still needs.
      await chmod(temporary, 0o600);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/**
 * The certificate in the data directory, or one that is made and saved there. A pair from an earlier attempt is used
 * again, so that an answer that was lost on the way does not cost the identity; one that cannot be used is kept as `*.old`.
 * @throws Error when the files cannot be written.
 */
export async function ownCertificate(dataDir: string, nowMs: number): Promise<KeyPair> {
  const certPath = join(dataDir, CERTIFICATE_FILE);
  const keyPath = join(dataDir, KEY_FILE);
  const [certificate, privateKey] = await Promise.all([readText(certPath), readText(keyPath)]);
  if (certificate !== undefined && privateKey !== undefined) {
    const pair = { certificate, privateKey };
    if (isUsable(pair, nowMs)) {
      return pair;
    }
  }
  for (const [path, text] of [
    [certPath, certificate],
    [keyPath, privateKey],
  ] as const) {
    if (text !== undefined) {
      await rename(path, `${path}.old`);
    }
  }
  const made = createSelfSigned(COMMON_NAME);
  await writeSecret(keyPath, made.privateKey);
  await writeSecret(certPath, made.certificate);
  return made;
}

function isUsable(pair: KeyPair, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(pair.certificate);
    const belongs = certificate.checkPrivateKey(createPrivateKey(pair.privateKey));
    return belongs && Date.parse(certificate.validTo) > nowMs;
  } catch {
    // Not a certificate, or not a key: as good as none.
    return false;
  }
}

/** The text of a file; `undefined` when it is missing. @throws Error of the file system */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && MISSING.has(String(error.code))) {
      return undefined;
    }
    throw error;
  }
}

/** A rename is on the disk only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
