import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { openSerialPort } from "#platform/serial-port";
import { abortable } from "#sdk/abortable";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { EchoFilter } from "./echo.ts";
import { encodeFrame, type Frame } from "./frames.ts";
import { type Line, lineOf } from "./line.ts";
import { RequestReader } from "./request-reader.ts";
import type { ServerConfig } from "./server-config.ts";

/** Answers a request; `undefined` says nothing. Must not throw. */
export type Answer = (frame: Frame) => Uint8Array | undefined;

/** Masters that may be connected at the same time. */
const MAX_MASTERS = 64;
/** Connections of every kind, those whose TLS handshake is not done included, and how long that may take. */
const MAX_CONNECTIONS = 2 * MAX_MASTERS;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Connections that stand idle are tested after this long. */
const KEEP_ALIVE_MS = 15_000;
/** Answers that wait for a master to read them, some thousand; one that asks for more does not read. */
const MAX_UNREAD_BYTES = 1_048_576;

/**
 * Listens as the configuration says and answers until `signal` aborts, then rejects with its reason. Calls `ready` when masters can
 * reach it. @throws TransientError when it cannot listen, or the serial port is gone
 */
export async function listen(
  config: ServerConfig,
  context: { readonly clock: Clock; readonly answer: Answer; readonly ready: () => void },
  signal: AbortSignal,
): Promise<void> {
  const line = lineOf({ ...config, security: undefined });
  if (line.kind === "serial") {
    await listenSerial(line, context, signal);
  } else if (line.kind === "udp") {
    await listenUdp(line, context, signal);
  } else {
    await listenTcp(line, { ...context, config }, signal);
  }
}

type NetLine = Extract<Line, { kind: "tcp" | "udp" }>;

interface Context {
  readonly answer: Answer;
  readonly ready: () => void;
}

interface TcpContext extends Context {
  readonly config: ServerConfig;
  readonly clock: Clock;
}

/** The masters that are connected, each with the time of its last request, 0 before the first one; monotonic. */
type Masters = Map<Socket, number>;

/** Takes a master in. The one that has been silent for longest gives way when there are too many: it may have vanished. */
function admit(socket: Socket, masters: Masters): void {
  if (masters.size >= MAX_MASTERS) {
    const [silent] = [...masters].reduce((one, other) => (other[1] < one[1] ? other : one));
    masters.delete(silent);
    silent.destroy();
  }
  masters.set(socket, 0);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => masters.delete(socket));
}

async function listenTcp(
  line: NetLine,
  { config, clock, answer, ready }: TcpContext,
  signal: AbortSignal,
): Promise<void> {
  const masters: Masters = new Map();
  const onSocket = (socket: Socket): void => {
    admit(socket, masters);
    const reader = new RequestReader(line.framing);
    socket.on("data", (chunk: Buffer) => {
      const requests = reader.push(chunk);
      if (requests === undefined) {
        socket.destroy();
        return;
      }
      masters.set(socket, clock.monotonicMs());
      for (const request of requests) {
        const pdu = answer(request);
        if (pdu !== undefined) {
          socket.write(encodeFrame(line.framing, { unit: request.unit, pdu }, request.transaction));
        }
      }
      if (socket.writableLength > MAX_UNREAD_BYTES) {
        socket.destroy();
      }
    });
  };
  const server = await makeServer(config, onSocket);
  server.maxConnections = MAX_CONNECTIONS;
  const failed = Promise.withResolvers<never>();
  server.on("error", (error: Error) => failed.reject(cannotListen(line, error)));
  server.listen(line.port, line.host, ready);
  try {
    await abortable(failed.promise, signal);
  } finally {
    for (const socket of masters.keys()) {
      socket.destroy();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    await promise;
  }
}

async function makeServer(
  { security }: ServerConfig,
  onSocket: (socket: Socket) => void,
): Promise<Server> {
  if (security === undefined) {
    return createTcpServer(onSocket);
  }
  const { certfile, keyfile, password, caCert, reqclicert } = security;
  try {
    const server = createTlsServer(
      {
        minVersion: "TLSv1.2",
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        cert: await readFile(certfile),
        key: await readFile(keyfile),
        ...(password === undefined ? {} : { passphrase: password }),
        ...(caCert === undefined ? {} : { ca: await readFile(caCert) }),
        requestCert: reqclicert,
        rejectUnauthorized: reqclicert,
      },
      onSocket,
    );
    server.on("tlsClientError", (_, socket) => socket.destroy());
    return server;
  } catch (error) {
    throw new TransientError("Cannot use the certificate of the server", {
      cause: error,
      retryAfterMs: 60_000,
    });
  }
}

async function listenUdp(
  line: NetLine,
  { answer, ready }: Context,
  signal: AbortSignal,
): Promise<void> {
  const socket = createSocket(line.host.includes(":") ? "udp6" : "udp4");
  const failed = Promise.withResolvers<never>();
  socket.on("error", (error: Error) => failed.reject(cannotListen(line, error)));
  socket.on("message", (message: Buffer, peer) => {
    // Each datagram is a message of its own.
    for (const request of new RequestReader(line.framing).push(message) ?? []) {
      const pdu = answer(request);
      if (pdu !== undefined) {
        const frame = { unit: request.unit, pdu };
        socket.send(encodeFrame(line.framing, frame, request.transaction), peer.port, peer.address);
      }
    }
  });
  socket.bind(line.port, line.host, ready);
  try {
    await abortable(failed.promise, signal);
  } finally {
    socket.close();
  }
}

async function listenSerial(
  line: Extract<Line, { kind: "serial" }>,
  { clock, answer, ready }: Context & { readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const port = await openSerialPort(line.serial, clock);
  const reader = new RequestReader(line.framing);
  const echo = new EchoFilter();
  port.onData = (bytes) => {
    for (const request of reader.push(echo.strip(bytes)) ?? []) {
      const pdu = answer(request);
      if (pdu !== undefined) {
        const frame = encodeFrame(line.framing, { unit: request.unit, pdu }, 0);
        if (line.serial.localEcho) {
          // The answer to a write looks like the write itself.
          echo.expect(frame);
        }
        port.write(frame);
      }
    }
  };
  ready();
  try {
    throw await abortable(port.closed, signal);
  } finally {
    await port[Symbol.asyncDispose]();
  }
}

function cannotListen({ kind, host, port }: NetLine, cause: Error): TransientError {
  return new TransientError(`Cannot listen on ${kind} ${host}:${port}`, { cause });
}
