import { connect } from "node:net";
import { join } from "node:path";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import { SOCKET_NAME, type StatusAnswer, type StatusRequest } from "./status-protocol.ts";

/** How long a gateway has to answer. It answers within 3 s even when its disk does not. */
const ANSWER_MS = 10_000;

/** No gateway runs with this data directory. */
export class NotRunningError extends Error {
  override readonly name = "NotRunningError";
}

/**
 * Asks the gateway that runs with `dataDir`. `Result` is the shape that the request has in `StatusReport` or `ConnectorReport`: both
 * ends are the same program.
 * @throws NotRunningError; TransientError when it does not answer or refuses
 */
export async function askGateway<Result>(
  dataDir: string,
  request: StatusRequest,
  clock: Clock,
): Promise<Result> {
  const line = await exchange(dataDir, `${JSON.stringify(request)}\n`, clock);
  let answer: StatusAnswer<Result>;
  try {
    answer = JSON.parse(line);
  } catch (cause) {
    throw new TransientError("The gateway gave an answer that cannot be read", { cause });
  }
  if (!answer.ok) {
    throw new TransientError(answer.error);
  }
  return answer.result;
}

async function exchange(dataDir: string, request: string, clock: Clock): Promise<string> {
  const path = join(dataDir, SOCKET_NAME);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  const socket = connect(path);
  socket.once("connect", () => socket.write(request));
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (chunk.includes("\n")) {
      resolve(Buffer.concat(chunks).toString("utf8"));
    }
  });
  socket.once("error", (error) => reject(connectionError(error, dataDir, path)));
  socket.once("close", () => reject(new TransientError("The gateway closed the connection")));
  using _timer = clock.timer(ANSWER_MS, () =>
    reject(new TransientError(`The gateway does not answer within ${ANSWER_MS / 1000} s`)),
  );
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function connectionError(error: Error, dataDir: string, path: string): Error {
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR") {
    return new NotRunningError(`No gateway runs with the data directory ${dataDir}`, {
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new TransientError(
      `${path} belongs to another user: run the command as the user of the gateway, or as root`,
    );
  }
  return new TransientError(`Cannot reach the gateway through ${path}`, { cause: error });
}
