import type {
  EndpointDescription,
  MessageSecurityMode,
  OPCUAClientOptions,
  SecurityPolicy,
} from "node-opcua-client";
import type { ConnectorHost } from "#sdk/connector";
import { errorText, TransientError } from "#sdk/errors";
import { firstLine, toFailure } from "./failures.ts";
import type { Library } from "./library.ts";
import { type KeyPair, ownCertificate, readCertificates, readKeyPair } from "./own-certificate.ts";
import { withOwnRsa15 } from "./rsa15.ts";
import type { ServerConfig } from "./server-config.ts";
import { type GivenCertificate, serverCertificateProblem } from "./trust.ts";
import { WaitingCalls } from "./waiting-calls.ts";

/** How the channel is secured, in the terms of the stack. */
export interface ChannelSecurity {
  readonly mode: MessageSecurityMode;
  readonly policy: SecurityPolicy;
  readonly applicationUri: string;
  readonly provider: NonNullable<OPCUAClientOptions["certificateKeyPairProvider"]>;
  readonly store: NonNullable<OPCUAClientOptions["clientCertificateManager"]>;
  readonly serverCertificate: Buffer | undefined;
}

const POLICIES = [
  "Basic128Rsa15",
  "Basic256",
  "Basic256Sha256",
  "Aes128_Sha256_RsaOaep",
  "Aes256_Sha256_RsaPss",
] as const;
type PolicyName = (typeof POLICIES)[number];

/** What the configuration asks for; `undefined`: no security. */
export function wantedSecurity(
  server: ServerConfig,
): { readonly mode: "Sign" | "SignAndEncrypt"; readonly policy: string } | undefined {
  const { identity, security, securityMode } = server;
  const mode =
    identity.type === "certificate"
      ? (identity.mode ?? securityMode ?? "SignAndEncrypt")
      : securityMode;
  return mode === undefined || mode === "None"
    ? undefined
    : { mode, policy: security ?? "Basic256Sha256" };
}

/**
 * Prepares the channel to the server. What cannot be had is an error: never is an open channel used where a secure one is asked for.
 * @throws TransientError naming the file, the policy, or what the server offers instead
 */
export async function prepareSecurity(
  url: string,
  context: {
    readonly server: ServerConfig;
    readonly host: ConnectorHost;
    readonly library: Library;
  },
  signal: AbortSignal,
): Promise<ChannelSecurity> {
  const { server, library } = context;
  const open = openChannel(await keyPairOf(context), library);
  const wanted = wantedSecurity(server);
  if (wanted === undefined) {
    return open;
  }
  policyOf(wanted.policy);
  const endpoints = await discover(url, open, context, signal);
  const secured = secureChannel(endpoints, wanted, { open, library });
  await checkServer(secured.serverCertificate, { ...context, url });
  return secured;
}

/** A channel without security; the certificate is there for passwords, and for asking. */
export function openChannel(pair: KeyPair, library: Library): ChannelSecurity {
  const provider = new library.InMemoryCertificateKeyPairProvider([...pair.chain], pair.key);
  return {
    mode: library.MessageSecurityMode.None,
    policy: library.SecurityPolicy.None,
    applicationUri: pair.applicationUri,
    provider: withOwnRsa15(provider, pair.key),
    store: new library.InMemoryCertificateStore({ autoAcceptUnknown: true }),
    serverCertificate: undefined,
  };
}

/** The channel that is asked for, to one of the endpoints. @throws TransientError naming what there is instead */
export function secureChannel(
  endpoints: readonly EndpointDescription[],
  wanted: { readonly mode: "Sign" | "SignAndEncrypt"; readonly policy: string },
  { open, library }: { readonly open: ChannelSecurity; readonly library: Library },
): ChannelSecurity & { readonly serverCertificate: Buffer } {
  const name = policyOf(wanted.policy);
  const mode = library.MessageSecurityMode[wanted.mode];
  const policy = library.SecurityPolicy[name];
  const uri: string = policy;
  const endpoint = endpoints.find(
    (one) => one.securityMode === mode && one.securityPolicyUri === uri,
  );
  if (endpoint === undefined) {
    throw new TransientError(
      `The server offers no ${name} with ${wanted.mode}; it offers ${offers(endpoints, library)}`,
    );
  }
  return { ...open, mode, policy, serverCertificate: firstCertificate(endpoint, library) };
}

function policyOf(text: string): PolicyName {
  const policy = POLICIES.find((name): name is PolicyName => name === text);
  if (policy === undefined) {
    throw new TransientError(`"security" is ${text}: it must be one of ${POLICIES.join(", ")}`, {
      retryAfterMs: 60_000,
    });
  }
  return policy;
}

/** The endpoints of a server, asked over an open channel. */
export async function discover(
  url: string,
  security: ChannelSecurity,
  {
    library,
    host,
    server,
  }: {
    readonly library: Library;
    readonly host: Pick<ConnectorHost, "clock">;
    readonly server: Pick<ServerConfig, "timeoutInMillis">;
  },
  signal: AbortSignal,
): Promise<readonly EndpointDescription[]> {
  const timeoutMs = server.timeoutInMillis;
  const client = library.OPCUAClient.create({
    applicationName: "tbgw",
    applicationUri: security.applicationUri,
    endpointMustExist: false,
    certificateKeyPairProvider: security.provider,
    clientCertificateManager: security.store,
    defaultTransactionTimeout: timeoutMs,
    transportTimeout: Math.max(timeoutMs, 1000),
    connectionStrategy: { maxRetry: 0, initialDelay: 1000, maxDelay: 1000 },
  });
  const calls = new WaitingCalls(host.clock);
  const limit = {
    timeoutMs: 2 * timeoutMs,
    late: () => new TransientError("The server does not tell its endpoints"),
    signal,
  };
  try {
    await calls.race(client.connect(url), limit);
    return await calls.race(client.getEndpoints({ endpointUrl: url }), limit);
  } catch (error) {
    signal.throwIfAborted();
    const failure = toFailure(error, "the connection");
    throw new TransientError(firstLine(errorText(failure)));
  } finally {
    await calls.within(
      client.disconnect().catch(() => undefined),
      1000,
    );
  }
}

async function keyPairOf({
  server,
  host,
  library,
}: {
  readonly server: ServerConfig;
  readonly host: ConnectorHost;
  readonly library: Library;
}): Promise<KeyPair> {
  const { identity, uri } = server;
  if (identity.type !== "certificate") {
    return await ownCertificate(uri, host, library);
  }
  const certificate = identity.cert ?? identity.pathToClientCert;
  const key = identity.privateKey ?? identity.pathToPrivateKey;
  if (certificate === undefined || key === undefined) {
    throw new TransientError('The identity needs "cert" and "privateKey"', {
      retryAfterMs: 60_000,
    });
  }
  try {
    const pair = await readKeyPair(certificate, key, library);
    return { ...pair, applicationUri: uri ?? pair.applicationUri };
  } catch (error) {
    throw new TransientError("Cannot use the certificate of the identity", { cause: error });
  }
}

/** @throws TransientError when the certificate of the server is not one we may trust */
async function checkServer(
  certificate: Buffer,
  {
    url,
    server,
    host,
    library,
  }: {
    readonly url: string;
    readonly server: ServerConfig;
    readonly host: ConnectorHost;
    readonly library: Library;
  },
): Promise<void> {
  const { identity, serverCertificateFile, trustServerCertificate } = server;
  const files = [serverCertificateFile, identity.caCert ?? identity.pathToCACert].filter(
    (file) => file !== undefined,
  );
  const given: GivenCertificate[] = [];
  for (const file of files) {
    try {
      const certificates = await readCertificates(file, library);
      given.push(...certificates.map((one) => ({ certificate: one, file })));
    } catch (error) {
      throw new TransientError(`Cannot read the certificate ${file}`, { cause: error });
    }
  }
  const problem = serverCertificateProblem(certificate, {
    given,
    acceptUnknown: trustServerCertificate && given.length === 0,
    url,
    nowMs: host.clock.now(),
    library,
  });
  if (problem !== undefined) {
    throw new TransientError(problem, { retryAfterMs: 60_000 });
  }
}

function firstCertificate(endpoint: EndpointDescription, library: Library): Buffer {
  const [certificate] = library.crypto_utils.split_der(endpoint.serverCertificate);
  if (certificate === undefined) {
    throw new TransientError("The server has no certificate");
  }
  return certificate;
}

/** `Basic256Sha256 SignAndEncrypt, None`. */
export function offers(endpoints: readonly EndpointDescription[], library: Library): string {
  const texts = endpoints.map(({ securityMode, securityPolicyUri }) => {
    const policy = (securityPolicyUri ?? "").split("#").at(-1) ?? "";
    return policy === "None" ? policy : `${policy} ${library.MessageSecurityMode[securityMode]}`;
  });
  return texts.length === 0 ? "nothing" : [...new Set(texts)].join(", ");
}
