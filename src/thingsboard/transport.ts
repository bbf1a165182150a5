import { lookup as lookupAddress } from "node:dns/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { tlsFailure, tlsOptions } from "#sdk/tls";
import { openTunnel } from "./proxy.ts";
import type { SessionSettings, TlsSettings } from "./settings.ts";

/** One address of the platform. */
export interface Endpoint {
  /** As configured: what a certificate must name. */
  readonly host: string;
  readonly port: number;
  /** An address of the host, from DNS; the host itself where a proxy looks it up. */
  readonly address: string;
}

/** All addresses of a name, IPv4 and IPv6, the first to try first. Rejects when there are none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

async function systemLookup(host: string): Promise<readonly string[]> {
  return (await lookupAddress(host, { all: true })).map(({ address }) => address);
}

const LOOKUP_TIMEOUT_MS = 10_000;

/** All addresses of a host, in the order of the resolver. @throws TransientError, also when there is no answer in 10 s. */
export async function resolve(
  target: { readonly host: string; readonly port: number },
  { clock, lookup = systemLookup }: { readonly clock: Clock; readonly lookup?: Lookup },
  signal: AbortSignal,
): Promise<readonly Endpoint[]> {
  const { host, port } = target;
  if (isIP(host) !== 0) {
    return [{ host, port, address: host }];
  }
  const stopped = Promise.withResolvers<never>();
  const deadline = clock.deadline(LOOKUP_TIMEOUT_MS, signal);
  const onAbort = (): void => stopped.reject(deadline.reason);
  deadline.addEventListener("abort", onAbort, { once: true });
  try {
    deadline.throwIfAborted();
    const found = await Promise.race([lookup(host), stopped.promise]);
    return found.map((address) => ({ host, port, address }));
  } catch (error) {
    signal.throwIfAborted();
    throw new TransientError(`Cannot find the address of ${host}`, { cause: error });
  } finally {
    deadline.removeEventListener("abort", onAbort);
  }
}

/** A socket to open; `timeoutMs` covers the proxy, the TCP connection and the TLS handshake together. */
export interface SocketRequest {
  readonly endpoint: Endpoint;
  /** `undefined`: plain TCP. */
  readonly tls: TlsSettings | undefined;
  readonly proxy: SessionSettings["proxy"];
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/**
 * Opens a socket, with TLS when there are settings for it, through a proxy when there is one. It resolves only after the
 * server's certificate has been verified, so that no credential can reach a stranger; nothing of MQTT is written here. The
 * caller owns the socket. @throws TransientError with the cause in words.
 */
export async function openSocket(request: SocketRequest, signal: AbortSignal): Promise<Socket> {
  const { endpoint, tls, proxy, clock, timeoutMs } = request;
  const skip = tls?.insecure === true ? "all" : undefined;
  const options = tls === undefined ? undefined : await tlsOptions({ ...tls, skip }, endpoint.host);
  const address = { host: endpoint.address, port: endpoint.port };
  const deadline = clock.deadline(timeoutMs, signal);
  let carrier: Socket | undefined;
  try {
    deadline.throwIfAborted();
    carrier = proxy === undefined ? undefined : await openCarrier(proxy, endpoint, deadline);
    if (options === undefined) {
      return carrier ?? (await ready(connectTcp(address), "connect", deadline));
    }
    const way = carrier === undefined ? address : { socket: carrier };
    const secure = connectTls({ ...way, ...options });
    await ready(secure, "secureConnect", deadline);
    return verified(secure, options);
  } catch (error) {
    carrier?.destroy();
    signal.throwIfAborted();
    throw error === deadline.reason
      ? new TransientError(`Cannot connect: no answer${tls === undefined ? "" : " in TLS"}`)
      : openFailure(error, tls !== undefined);
  }
}

/** The socket, when its peer has proved who it is or need not. */
function verified(socket: TLSSocket, options: ConnectionOptions): TLSSocket {
  if (options.rejectUnauthorized !== false && !socket.authorized) {
    socket.destroy();
    throw socket.authorizationError;
  }
  return socket;
}

/** A socket that leads to the endpoint through the proxy. */
async function openCarrier(
  proxy: NonNullable<SessionSettings["proxy"]>,
  endpoint: Endpoint,
  deadline: AbortSignal,
): Promise<Socket> {
  const socket = connectTcp(proxy);
  try {
    await ready(socket, "connect", deadline);
  } catch (error) {
    const where = `${proxy.host}:${proxy.port}`;
    throw error === deadline.reason
      ? error
      : new TransientError(`Cannot connect to the proxy ${where}`, { cause: error });
  }
  try {
    await openTunnel(socket, endpoint, deadline);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The socket once `event` has come. Destroys it and rejects with its error or the reason of `deadline` before that. */
async function ready<S extends Socket>(
  socket: S,
  event: "connect" | "secureConnect",
  deadline: AbortSignal,
): Promise<S> {
  const { promise, resolve: done, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(deadline.reason);
  const onClose = (): void => reject(new Error("closed during the handshake"));
  socket.once(event, done);
  // This listener stays: an error without one would end the process.
  socket.on("error", reject);
  socket.on("close", onClose);
  deadline.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    deadline.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
  }
}

const TCP_FAILURES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Cannot connect: nothing listens on that port",
  EHOSTUNREACH: "Cannot connect: no route to the host",
  ENETUNREACH: "Cannot connect: the network is unreachable",
  ETIMEDOUT: "Cannot connect: no answer",
};

/** An error of the socket in words, with what a person can do about it. */
function openFailure(error: unknown, tls: boolean): TransientError {
  if (error instanceof TransientError) {
    return error;
  }
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const known = TCP_FAILURES[code];
  if (known !== undefined) {
    return new TransientError(known, { cause: error });
  }
  return new TransientError(tls ? tlsFailure(code) : "Cannot connect", { cause: error });
}
