import { lookup } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls } from "node:tls";
import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import type { TlsSettings } from "./settings.ts";
import { tlsOptions } from "./tls.ts";

/** One address of the platform. */
export interface Endpoint {
  /** As configured: what a certificate must name. */
  readonly host: string;
  readonly port: number;
  /** An address of the host, from DNS. */
  readonly address: string;
}

/** Longest time for the TCP connection and the TLS handshake. */
const OPEN_TIMEOUT_MS = 10_000;

/** All addresses of a host, in the order of the resolver. @throws TransientError, also when there is no answer in 10 s. */
export async function resolve(
  target: { readonly host: string; readonly port: number },
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Endpoint[]> {
  const { host, port } = target;
  if (isIP(host) !== 0) {
    return [{ host, port, address: host }];
  }
  const stopped = Promise.withResolvers<never>();
  const deadline = clock.deadline(OPEN_TIMEOUT_MS, signal);
  const onAbort = (): void => stopped.reject(deadline.reason);
  deadline.addEventListener("abort", onAbort, { once: true });
  try {
    deadline.throwIfAborted();
    const found = await Promise.race([lookup(host, { all: true }), stopped.promise]);
    return found.map(({ address }) => ({ host, port, address }));
  } catch (error) {
    signal.throwIfAborted();
    throw new TransientError(`Cannot find the address of ${host}`, { cause: error });
  } finally {
    deadline.removeEventListener("abort", onAbort);
  }
}

/**
 * Opens a socket, with TLS when there are settings for it. It resolves only after the server's certificate has been verified,
 * so that no credential can reach a stranger; nothing is written here. The caller owns the socket.
 * @throws TransientError with the cause in words.
 */
export async function openSocket(
  endpoint: Endpoint,
  tls: TlsSettings | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  const options = tls === undefined ? undefined : await tlsOptions(tls, endpoint.host);
  const target = { host: endpoint.address, port: endpoint.port };
  const deadline = clock.deadline(OPEN_TIMEOUT_MS, signal);
  deadline.throwIfAborted();
  const { promise, resolve: done, reject } = Promise.withResolvers<Socket>();
  let socket: Socket;
  if (options === undefined) {
    socket = connectTcp(target, () => done(socket));
  } else {
    const secure = connectTls(
      {
        ...target,
        ...options,
        // The name to check is the configured host also when the socket goes to one of its addresses.
        checkServerIdentity: (_name, certificate) =>
          checkServerIdentity(endpoint.host, certificate),
      },
      () => {
        if (tls?.insecure === true || secure.authorized) {
          done(secure);
        } else {
          reject(secure.authorizationError);
        }
      },
    );
    socket = secure;
  }
  const onAbort = (): void => reject(deadline.reason);
  const onClose = (): void => reject(new Error("closed during the handshake"));
  socket.on("error", reject);
  socket.on("close", onClose);
  deadline.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw new TransientError(openFailure(error, tls !== undefined), { cause: error });
  } finally {
    deadline.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
    // The error listener stays: an error without one would end the process.
  }
}

const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Cannot connect: nothing listens on that port",
  EHOSTUNREACH: "Cannot connect: no route to the host",
  ENETUNREACH: "Cannot connect: the network is unreachable",
  ETIMEDOUT: "Cannot connect: no answer",
};

function openFailure(error: unknown, tls: boolean): string {
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const known = CODES[code];
  if (known !== undefined) {
    return known;
  }
  if (tls && !(error instanceof TransientError)) {
    return "Cannot open a trusted TLS connection: check the host name and the CA certificate";
  }
  return error instanceof TransientError
    ? "Cannot connect: no answer"
    : `Cannot connect (${errorText(error)})`;
}
