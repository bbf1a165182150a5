import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type EncodedRecord, readBatch } from "../../../src/sdk/batch.ts";
import { DataError } from "../../../src/sdk/errors.ts";
import { scanBatch, splitBatch } from "../../../src/storage/batch-scan.ts";
import { batchOf, record } from "./batches.ts";

const encoded: fc.Arbitrary<EncodedRecord> = fc.record({
  kind: fc.constantFrom("telemetry", "attributes", "gateway-telemetry", "gateway-attributes"),
  device: fc.oneof(fc.constantFrom("", "a", "b"), fc.string({ unit: "binary", maxLength: 10 })),
  deviceType: fc.constantFrom("default", "тип"),
  json: fc.object({ maxDepth: 1 }).map((value) => JSON.stringify(value)),
  values: fc.nat({ max: 5000 }),
});

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("batch-scan", () => {
  test("scanBatch() counts what the writer wrote", () => {
    fc.assert(
      fc.property(fc.array(encoded, { maxLength: 30 }), (list) => {
        const { bytes, count, values } = batchOf(list);
        expect(scanBatch(bytes)).toEqual({ records: count, values });
      }),
    );
  });

  test.each([
    ["no line feed at the end", 'T1\t"a"\t"b"\t{}'],
    ["unknown kind", 'X1\t"a"\t"b"\t{}\n'],
    ["an empty line", "\n"],
    ["no count", 'T\t"a"\t"b"\t{}\n'],
    ["a count that is no number", 'T1a\t"a"\t"b"\t{}\n'],
    ["a count without end", 'T99999999999\t"a"\t"b"\t{}\n'],
    ["fields of the next line", 'T1\t"a"\n\t"b"\t{}\n'],
    ["no device on the first line", "T1\t\t\t{}\n"],
    ["only a kind", "T1"],
  ])("scanBatch() refuses a batch with %s", (_what, text) => {
    expect(() => scanBatch(bytesOf(text))).toThrow(DataError);
  });

  test("scanBatch() of any bytes returns or throws DataError", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("T", "A", "1", "\t", "\n", '"', "x"), { maxLength: 30 }),
        (letters) => {
          try {
            scanBatch(bytesOf(letters.join("")));
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
    );
  });

  test("splitBatch() gives pieces that stand alone and together are the batch", () => {
    fc.assert(
      fc.property(
        fc.array(encoded, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 500 }),
        (list, maxBytes) => {
          const { bytes, count, values } = batchOf(list);
          const pieces = splitBatch(Uint8Array.from(bytes), { records: count, values }, maxBytes);
          expect(pieces.flatMap((piece) => readBatch(piece.bytes))).toEqual(list);
          for (const piece of pieces) {
            expect(scanBatch(piece.bytes)).toEqual({
              records: piece.records,
              values: piece.values,
            });
          }
        },
      ),
    );
  });

  test("splitBatch() keeps near its limit unless a single record is longer", () => {
    const long = { ...record(0), json: `{"a":"${"x".repeat(5000)}"}` };
    const { bytes, count, values } = batchOf([record(1), record(2), long, record(3)]);
    const lengths = splitBatch(bytes, { records: count, values }, 200).map(
      (piece) => piece.records,
    );
    expect(lengths).toEqual([2, 1, 1]);
  });
});
