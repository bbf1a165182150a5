import type { Socket } from "node:net";
import { TransientError } from "#sdk/errors";

/** More than any proxy says before the tunnel is open. */
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * Asks the HTTP proxy at the other end of `socket` for a tunnel to the target (CONNECT, RFC 9110 §9.3.6); from then on the
 * socket leads there. Names are looked up by the proxy. The caller owns the socket, also after an error.
 * @throws TransientError with the answer of the proxy in words, Error of the socket, or the reason of `deadline`.
 */
export async function openTunnel(
  socket: Socket,
  target: { readonly host: string; readonly port: number },
  deadline: AbortSignal,
): Promise<void> {
  const authority = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    if (head.includes("\r\n\r\n")) {
      resolve(head);
    } else if (head.length > MAX_HEAD_BYTES) {
      reject(new TransientError("The proxy does not speak HTTP"));
    }
  };
  const onClose = (): void => reject(new TransientError("The proxy closed the connection"));
  const onAbort = (): void => reject(deadline.reason);
  socket.on("data", onData);
  socket.on("error", reject);
  socket.on("close", onClose);
  deadline.addEventListener("abort", onAbort, { once: true });
  try {
    deadline.throwIfAborted();
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    const rest = tunnelRest(await promise, authority);
    socket.pause();
    if (rest.length > 0) {
      socket.unshift(rest);
    }
  } finally {
    deadline.removeEventListener("abort", onAbort);
    socket.off("data", onData);
    socket.off("error", reject);
    socket.off("close", onClose);
  }
}

/** What follows the head of a consenting answer. */
function tunnelRest(answer: Buffer, authority: string): Buffer {
  const end = answer.indexOf("\r\n\r\n");
  const [line = ""] = answer.toString("latin1", 0, end).split("\r\n");
  const [, status = "", reason = ""] = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(line) ?? [];
  if (status === "") {
    throw new TransientError("The proxy does not speak HTTP");
  }
  if (status === "407") {
    throw new TransientError("The proxy wants a password, and none can be given to it here");
  }
  if (!status.startsWith("2")) {
    throw new TransientError(`The proxy refuses to connect to ${authority}: ${status} ${reason}`);
  }
  return answer.subarray(end + 4);
}
