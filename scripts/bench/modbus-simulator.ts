// Modbus TCP devices that answer as fast as this machine can: `bun modbus-simulator.ts CONNECTIONS REGISTERS`. Prints `ready` with the ports
// as JSON, and on SIGUSR1 how many requests it has answered. Every unit answers; register a holds half of a float that changes each second.
import { createServer, type Socket } from "node:net";

const [connections = "10", registers = "2000"] = process.argv.slice(2);
const count = Number(registers);
/** Floats a float32 holds exactly, so that their text is short and always the same length. */
const held = Buffer.alloc(2 * count);
for (let index = 0; index < count / 2; index += 1) {
  held.writeFloatBE(100 + (index % 800) + 0.25, 4 * index);
}
let answered = 0;

/** Answers every whole request of a chunk with one write. */
function answer(socket: Socket, pending: Buffer): Buffer {
  const answers: Buffer[] = [];
  let at = 0;
  for (; at + 12 <= pending.length; at += 12) {
    const first = 2 * pending.readUInt16BE(at + 8);
    const size = 2 * pending.readUInt16BE(at + 10);
    const head = Buffer.alloc(9);
    pending.copy(head, 0, at, at + 8);
    head.writeUInt16BE(size + 3, 4);
    head[8] = size;
    answers.push(head, held.subarray(first, first + size));
    answered += 1;
  }
  if (answers.length > 0) {
    socket.write(Buffer.concat(answers));
  }
  return pending.subarray(at);
}

const ports: number[] = [];
for (let index = 0; index < Number(connections); index += 1) {
  const server = createServer((socket) => {
    let pending = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.from(
        answer(socket, pending.length === 0 ? chunk : Buffer.concat([pending, chunk])),
      );
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  ports.push(typeof address === "object" && address !== null ? address.port : 0);
}
process.on("SIGUSR1", () => console.log(`answered ${answered}`));
console.log(`ready ${JSON.stringify(ports)}`);
