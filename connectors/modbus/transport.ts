import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  getCACertificates,
} from "node:tls";
import { openSerialPort } from "#platform/serial-port";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { Line } from "./line.ts";
import type { ClientSecurity } from "./line-config.ts";

/** A connection that carries bytes. */
export interface Transport extends AsyncDisposable {
  /** Sends; what cannot be sent ends the connection. */
  write(bytes: Uint8Array): void;
  /** Called with what arrives, one datagram at a time over UDP. Set once, before anything is sent. */
  onData: (bytes: Uint8Array) => void;
  /** Resolves with the cause when the connection is lost; never by dispose. */
  readonly closed: Promise<TransientError>;
}

/** What a connection is opened with. */
export interface OpenOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Longest time until the connection stands. */
  readonly timeoutMs: number;
}

/** TCP connections that stand idle are tested after this long. */
const KEEP_ALIVE_MS = 15_000;

/** Opens the connection of a line. @throws TransientError with the cause in words */
export async function openTransport(
  line: Line,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<Transport> {
  if (line.kind === "serial") {
    return await openSerial(line.serial, options);
  }
  return line.kind === "udp"
    ? await openUdp(line.host, line.port, signal)
    : streamTransport(await openSocket(line, options, signal));
}

type SocketLine = Extract<Line, { kind: "tcp" | "udp" }>;

async function openSocket(
  line: SocketLine,
  { clock, timeoutMs }: OpenOptions,
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, tls } = line;
  const options = tls === undefined ? undefined : await tlsOptions(tls, host);
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket =
    options === undefined
      ? connectTcp({ host, port }, resolve)
      : connectTls({ host, port, ...options }, resolve);
  const onAbort = (): void => reject(signal.reason);
  const onClose = (): void => reject(new Error("closed by the peer"));
  using _timer = clock.timer(timeoutMs, () =>
    reject(new Error(`no answer within ${Math.round(timeoutMs)} ms`)),
  );
  socket.on("error", reject);
  socket.on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    return socket;
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw new TransientError(`Cannot connect to ${host}:${port}`, { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
    socket.off("close", onClose);
    // The error listener stays: an error without one would end the process.
  }
}

/** A stream socket that stands, as a transport. The transport owns it from here on. */
export function streamTransport(socket: Socket): Transport {
  const closed = Promise.withResolvers<TransientError>();
  let failure: Error | undefined;
  socket.on("error", (error: Error) => {
    failure = error;
  });
  socket.on("close", () =>
    closed.resolve(
      new TransientError(
        "The peer closed the connection",
        failure === undefined ? {} : { cause: failure },
      ),
    ),
  );
  const transport: Transport = {
    onData: () => undefined,
    closed: closed.promise,
    write: (bytes) => {
      socket.write(bytes);
    },
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      return await Promise.resolve();
    },
  };
  socket.on("data", (chunk: Buffer) => transport.onData(chunk));
  return transport;
}

async function openUdp(host: string, port: number, signal: AbortSignal): Promise<Transport> {
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4");
  const closed = Promise.withResolvers<TransientError>();
  const connected = Promise.withResolvers<void>();
  const onAbort = (): void => connected.reject(signal.reason);
  socket.on("error", (error: Error) => {
    connected.reject(error);
    closed.resolve(new TransientError(`Cannot reach ${host}:${port}`, { cause: error }));
  });
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    socket.connect(port, host, () => connected.resolve());
    await connected.promise;
  } catch (error) {
    socket.close();
    signal.throwIfAborted();
    throw new TransientError(`Cannot reach ${host}:${port}`, { cause: error });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  const transport: Transport = {
    onData: () => undefined,
    closed: closed.promise,
    write: (bytes) => socket.send(bytes),
    [Symbol.asyncDispose]: async () => {
      socket.close();
      return await Promise.resolve();
    },
  };
  socket.on("message", (message: Buffer) => transport.onData(message));
  return transport;
}

async function openSerial(
  settings: Extract<Line, { kind: "serial" }>["serial"],
  { clock, log }: OpenOptions,
): Promise<Transport> {
  const port = await openSerialPort(settings, clock);
  for (const warning of port.warnings) {
    log.warn("A setting of the serial port has no effect", {
      port: settings.path,
      because: warning,
    });
  }
  const transport: Transport = {
    onData: () => undefined,
    closed: port.closed,
    write: (bytes) => port.write(bytes),
    [Symbol.asyncDispose]: () => port[Symbol.asyncDispose](),
  };
  port.onData = (bytes) => transport.onData(bytes);
  return transport;
}

/** Files are read at each connection, so that a renewed certificate counts from the next one on. */
async function tlsOptions(settings: ClientSecurity, host: string): Promise<ConnectionOptions> {
  const { caCert, certfile, keyfile, password, server_hostname: name = host, insecure } = settings;
  const [ca, cert, key] = await Promise.all([readPem(caCert), readPem(certfile), readPem(keyfile)]);
  return {
    minVersion: "TLSv1.2",
    ca: ca ?? [...new Set([...getCACertificates("default"), ...getCACertificates("system")])],
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(password === undefined ? {} : { passphrase: password }),
    rejectUnauthorized: !insecure,
    checkServerIdentity: (_host, certificate) =>
      insecure ? undefined : checkServerIdentity(name, certificate),
    // An address is no server name (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
  };
}

async function readPem(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined || path === "") {
    return undefined;
  }
  try {
    return await readFile(path);
  } catch (error) {
    // Nobody puts a file right within seconds.
    throw new TransientError(`Cannot read ${path}`, { cause: error, retryAfterMs: 60_000 });
  }
}
