import { createServer } from "node:net";

/** A port that nobody uses, for a process that cannot tell which one it took. */
export { freePort } from "../../src/demo/free-port.ts";

/** The first of `count` ports of 127.0.0.1 in a row that were free a moment ago, outside the range the system gives out by itself. */
export async function freePortRow(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const row = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(row.map((port) => isFree(port)));
    if (free.every(Boolean)) {
      return first;
    }
  }
  throw new Error(`There are no ${count} free ports in a row`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once("error", () => resolve(false));
  server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  return await promise;
}
