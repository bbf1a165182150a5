import { createSocket } from "node:dgram";
import { isIP, type Socket } from "node:net";
import { openSerialPort } from "#platform/serial-port";
import { openSocket } from "#sdk/client-socket";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import type { TlsSettings } from "#sdk/tls";
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

/** Opens the connection of a line. @throws TransientError with the cause in words */
export async function openTransport(
  line: Line,
  options: OpenOptions,
  signal: AbortSignal,
): Promise<Transport> {
  if (line.kind === "serial") {
    return await openSerial(line.serial, options);
  }
  const { kind, host, port, tls } = line;
  if (kind === "udp") {
    return await openUdp(host, port, signal);
  }
  const serverName = textOf(tls?.server_hostname);
  const endpoint = { host, port, serverName, tls: tls === undefined ? tls : tlsSettings(tls) };
  return streamTransport(await openSocket(endpoint, options, signal));
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

/** How a connection is secured, by the words of the configuration. */
function tlsSettings({
  caCert,
  certfile,
  keyfile,
  password,
  insecure,
}: ClientSecurity): TlsSettings {
  return {
    caPath: textOf(caCert),
    certPath: textOf(certfile),
    keyPath: textOf(keyfile),
    passphrase: textOf(password),
    skip: insecure ? "all" : undefined,
  };
}

/** Configuration editors write an empty text for "none". */
function textOf(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
