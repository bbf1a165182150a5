import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";
import type { Clock } from "./clock.ts";
import { TransientError } from "./errors.ts";
import { type TlsSettings, tlsFailure, tlsOptions } from "./tls.ts";

/** Where a connection leads to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** `undefined`: plain TCP. */
  readonly tls: TlsSettings | undefined;
  /** Name the peer's certificate must be for. Default: `host`. */
  readonly serverName?: string | undefined;
}

/** A connection that stands idle is tested by TCP after this long: a peer that lost its power says no goodbye. */
const KEEP_ALIVE_MS = 15_000;
/** Nobody puts a file right within seconds. */
const FILE_RETRY_MS = 60_000;

/**
 * Opens a socket within `timeoutMs`, TLS handshake included. It resolves only after the peer's certificate has been verified, so that no
 * password can reach a stranger. The caller owns the socket; an error of it that nobody listens to does no harm.
 * @throws TransientError with the cause in words
 */
export async function openSocket(
  endpoint: Endpoint,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, tls, serverName = host } = endpoint;
  const options =
    tls === undefined ? undefined : await tlsOptions(tls, serverName).catch(fileTrouble);
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket =
    options === undefined
      ? connectTcp({ host, port }, resolve)
      : connectTls({ host, port, ...options }, resolve);
  const onAbort = (): void => reject(signal.reason);
  const onClose = (): void => reject(new Error("closed by the peer during the handshake"));
  using _timer = clock.timer(timeoutMs, () =>
    reject(new Error(`no answer within ${Math.round(timeoutMs)} ms`)),
  );
  socket.on("error", reject);
  socket.on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    if (tls?.skip !== "all" && socket instanceof TLSSocket && !socket.authorized) {
      throw socket.authorizationError;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw new TransientError(openFailure(error, endpoint), { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
    // The error listener stays: an error without one would end the process.
  }
}

function fileTrouble(error: unknown): never {
  throw error instanceof TransientError
    ? new TransientError(error.message, { cause: error.cause, retryAfterMs: FILE_RETRY_MS })
    : error;
}

const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on that port",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the name server does not answer",
  ETIMEDOUT: "no answer",
};

function openFailure(error: unknown, { host, port, tls }: Endpoint): string {
  const target = `Cannot connect to ${host}:${port}`;
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const known = CODES[code];
  if (known !== undefined) {
    return `${target}: ${known}`;
  }
  return tls === undefined ? target : `${target} over TLS: ${tlsFailure(code)}`;
}
