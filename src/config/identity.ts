import { existsSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import * as v from "valibot";
import type { ParseIssue } from "#sdk/config";
import type { ProvisioningRequest, SessionSettings } from "../thingsboard/settings.ts";
import type { GatewayConfig } from "./gateway.ts";
import type { Path } from "./issue.ts";
import { securityOfSaved, toProvisioning } from "./provisioning.ts";
import { type Security, security as securitySchema, toCredentials } from "./security.ts";
import { type Connection, toConnection } from "./session.ts";
import { readDocument } from "./text-file.ts";

/** A gateway that has to ask the platform for its credentials first. */
export interface ProvisioningPlan {
  readonly request: ProvisioningRequest;
  readonly connection: Connection;
}

/** Who the gateway is on the platform; at most one of `session` and `provisioning` is there. */
export interface Identity {
  readonly session: SessionSettings | undefined;
  readonly provisioning: ProvisioningPlan | undefined;
  /** Paths from the root of the main file. */
  readonly issues: readonly ParseIssue[];
  readonly secrets: readonly string[];
}

/** What an identity is chosen from. */
export interface IdentityInput {
  readonly thingsboard: GatewayConfig["thingsboard"];
  /** Provisioning is asked for by environment variables. */
  readonly provisioningFirst: boolean;
  readonly configDir: string;
  readonly dataDir: string;
  readonly cwd: string;
}

const SECURITY: Path = ["thingsboard", "security"];

/**
 * The credentials by the Python gateway's order: the `security` section, unless provisioning is asked for by variables;
 * then what an earlier provisioning saved as `.credentials`; then provisioning. Without any there is an error.
 */
export function chooseIdentity(input: IdentityInput): Identity {
  const { thingsboard } = input;
  const section = thingsboard.security;
  const given = section !== undefined && isFilled(section);
  if (given && !input.provisioningFirst) {
    return withSecurity(input, section, [input.configDir, input.cwd, input.dataDir]);
  }
  const { saved, issues } = readSaved(input);
  if (saved !== undefined) {
    return withSecurity(input, saved, [input.dataDir, input.configDir, input.cwd]);
  }
  if (thingsboard.provisioning !== undefined) {
    const identity = withProvisioning(input, thingsboard.provisioning);
    return { ...identity, issues: [...issues, ...identity.issues] };
  }
  return withSecurity(input, section ?? emptySecurity(), [input.configDir]);
}

function isFilled(section: Security): boolean {
  const { accessToken, username, clientId, cert, type } = section;
  return [accessToken, username, clientId, cert, type].some((text) => (text ?? "") !== "");
}

function emptySecurity(): Security {
  return v.parse(securitySchema, {});
}

function withSecurity(input: IdentityInput, section: Security, roots: readonly string[]): Identity {
  const { credentials, issues } = toCredentials(section);
  const missing: ParseIssue[] = [];
  const connection = toConnection(input.thingsboard, section, (file) => {
    const found = locate(file, roots);
    if (!existsSync(found)) {
      missing.push(missingFile(file, section));
    }
    return found;
  });
  const usable = credentials !== undefined && connection.value.hosts.length > 0;
  return {
    session: usable ? { ...connection.value, credentials } : undefined,
    provisioning: undefined,
    issues: [
      ...issues.map((issue) => ({ ...issue, path: [...SECURITY, ...issue.path] })),
      ...connection.issues,
      ...missing,
    ],
    secrets: [section.accessToken, section.password].filter((text) => text !== undefined),
  };
}

function missingFile(file: string, section: Security): ParseIssue {
  const keys = ["caCert", "cert", "privateKey"] as const;
  const key = keys.find((candidate) => section[candidate] === file);
  const path = key === undefined ? SECURITY : [...SECURITY, key];
  return { severity: "error", path, message: `the file "${file}" is missing` };
}

function withProvisioning(
  input: IdentityInput,
  section: NonNullable<GatewayConfig["thingsboard"]["provisioning"]>,
): Identity {
  const request = toProvisioning(section);
  const keys = connectionKeys(input.thingsboard);
  // The certificate will need TLS, and a port has it or not.
  const tls = keys.tls === true || request?.wanted.kind === "certificate";
  const security = { ...emptySecurity(), ...keys, tls };
  const roots = [input.configDir, input.cwd, input.dataDir];
  const issues: ParseIssue[] = [];
  const connection = toConnection(input.thingsboard, security, (file) => {
    const found = locate(file, roots);
    if (!existsSync(found)) {
      const path = ["thingsboard", "provisioning", "caCert"];
      issues.push({ severity: "error", path, message: `the file "${file}" is missing` });
    }
    return found;
  });
  issues.push(...connection.issues);
  if (request === undefined) {
    const message =
      'there are no credentials: provisioning needs "provisionDeviceKey" and "provisionDeviceSecret"';
    issues.push({ severity: "error", path: ["thingsboard", "provisioning"], message });
  }
  const usable = request !== undefined && connection.value.hosts.length > 0;
  return {
    session: undefined,
    provisioning: usable ? { request, connection: connection.value } : undefined,
    issues,
    secrets: [],
  };
}

/** The credentials of an earlier provisioning, from the data directory or else the configuration directory. */
function readSaved(input: IdentityInput): {
  readonly saved: Security | undefined;
  readonly issues: readonly ParseIssue[];
} {
  const issues: ParseIssue[] = [];
  for (const directory of [input.dataDir, input.configDir]) {
    const file = join(directory, ".credentials");
    if (existsSync(file)) {
      const section = securityOfSaved(readDocument(file).document?.value);
      // How the connection is secured was not the platform's to say: that is as it was when it was asked.
      const saved = v.safeParse(securitySchema, {
        ...connectionKeys(input.thingsboard),
        ...section,
      });
      if (section !== undefined && saved.success) {
        return { saved: saved.output, issues };
      }
      const message = `the credentials saved in ${file} cannot be read: they are asked for again`;
      issues.push({ severity: "error", path: ["thingsboard", "provisioning"], message });
    }
  }
  return { saved: undefined, issues };
}

/** The part of the configuration that says how a connection is secured, and nothing of who we are. */
function connectionKeys(thingsboard: GatewayConfig["thingsboard"]): Partial<Security> {
  const { security: section, provisioning } = thingsboard;
  const { tls, caCert, insecure, checkCertPeriod, certificateDaysLeft } =
    section ?? emptySecurity();
  const ca = provisioning?.caCert ?? caCert;
  const keys = { tls, insecure, checkCertPeriod, certificateDaysLeft };
  return ca === undefined ? keys : { ...keys, caCert: ca };
}

/** A file that is named relative to one of several directories; where it is in none, it is expected in the first. */
function locate(file: string, roots: readonly string[]): string {
  if (isAbsolute(file)) {
    return file;
  }
  const places = roots.map((root) => resolve(root, file));
  return places.find((place) => existsSync(place)) ?? resolve(roots[0] ?? ".", file);
}
