import { gzipSync } from "node:zlib";

/** One file of an archive. */
export interface ArchiveFile {
  /** Relative, 100 bytes at most. */
  readonly name: string;
  readonly text: string;
}

const BLOCK = 512;

/** A gzip-compressed tar archive (POSIX.1-1988, "ustar") of text files that only their owner can read. `seconds`: their time, since 1970. */
export function tarGz(files: readonly ArchiveFile[], seconds: number): Uint8Array {
  const blocks: Buffer[] = [];
  for (const { name, text } of files) {
    const content = Buffer.from(text);
    blocks.push(header(name, content.length, seconds), content);
    blocks.push(Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
  }
  blocks.push(Buffer.alloc(2 * BLOCK));
  return gzipSync(Buffer.concat(blocks));
}

function header(name: string, size: number, seconds: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");
  block.write(name, 0, 100);
  block.write(`${octal(0o600, 7)}\0`, 100);
  block.write(`${octal(0, 7)}\0${octal(0, 7)}\0`, 108);
  block.write(`${octal(size, 11)}\0${octal(Math.floor(seconds), 11)}\0`, 124);
  block.write(" ".repeat(8), 148); // The sum is made with blanks in its own place.
  block.write("0", 156);
  block.write("ustar", 257);
  block.write("00", 263);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}
