/** The four tables of a Modbus server, by the function code that reads them. */
export type TableCode = 1 | 2 | 3 | 4;

/** One table. Without any value of the configuration it holds zeros everywhere, else only what was put into it. */
export class ServerTable {
  readonly #places = new Map<number, number>();
  #isOpen = true;

  /** Puts values there at the start: from now on other addresses do not exist. */
  define(address: number, values: readonly number[]): void {
    this.#isOpen = false;
    this.write(address, values);
  }

  /** Values of places that follow each other; `undefined` when one of them does not exist. */
  read(address: number, count: number): readonly number[] | undefined {
    const values: number[] = [];
    for (let place = address; place < address + count; place += 1) {
      const value = this.#places.get(place) ?? (this.#isOpen ? 0 : undefined);
      if (value === undefined || place > 0xffff) {
        return undefined;
      }
      values.push(value);
    }
    return values;
  }

  /** Places that do not exist yet are made. */
  write(address: number, values: readonly number[]): void {
    for (const [index, value] of values.entries()) {
      this.#places.set(address + index, value);
    }
  }
}

/** What a server holds. */
export type ServerTables = Readonly<Record<TableCode, ServerTable>>;

/** Empty tables. */
export function createTables(): ServerTables {
  return { 1: new ServerTable(), 2: new ServerTable(), 3: new ServerTable(), 4: new ServerTable() };
}

/** Words as bytes, the high byte first. */
export function wordBytes(words: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(2 * words.length);
  for (const [index, word] of words.entries()) {
    bytes[2 * index] = word >> 8;
    bytes[2 * index + 1] = word & 0xff;
  }
  return bytes;
}

/** Bits as bytes, the first one in the lowest bit. */
export function bitBytes(bits: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [index, bit] of bits.entries()) {
    bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (bit << (index & 7));
  }
  return bytes;
}
