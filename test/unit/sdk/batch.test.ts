import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BatchWriter, type EncodedRecord, readBatch } from "../../../src/sdk/batch.ts";
import { DataError } from "../../../src/sdk/errors.ts";

const records = fc.array(
  fc.record<EncodedRecord>({
    kind: fc.constantFrom("telemetry", "attributes", "gateway-telemetry", "gateway-attributes"),
    device: fc.string({ unit: "grapheme" }),
    deviceType: fc.string(),
    json: fc.jsonValue().map((value) => JSON.stringify(value)),
    values: fc.nat(1000),
  }),
);

function write(list: readonly EncodedRecord[]): Uint8Array {
  const writer = new BatchWriter();
  for (const record of list) {
    writer.add(record);
  }
  return writer.take();
}

describe("BatchWriter", () => {
  test("what it writes, readBatch reads back", () => {
    fc.assert(
      fc.property(records, (list) => {
        expect(readBatch(write(list))).toEqual(list);
      }),
    );
  });

  test("batches one after another read as one", () => {
    fc.assert(
      fc.property(records, records, (left, right) => {
        const both = Buffer.concat([write(left), write(right)]);
        expect(readBatch(both)).toEqual([...left, ...right]);
      }),
    );
  });

  test("a device is written once for a run of its records", () => {
    const record: EncodedRecord = {
      kind: "telemetry",
      device: "Pump 1",
      deviceType: "pump",
      json: '{"ts":1,"values":{"a":1}}',
      values: 1,
    };
    const text = new TextDecoder().decode(write([record, record]));
    expect(text).toBe(
      'T1\t"Pump 1"\t"pump"\t{"ts":1,"values":{"a":1}}\nT1\t\t\t{"ts":1,"values":{"a":1}}\n',
    );
  });
});

describe("readBatch()", () => {
  test("any bytes give records or a DataError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readBatch(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });

  test("a torn last line is an error", () => {
    const bytes = write([
      { kind: "attributes", device: "A", deviceType: "default", json: '{"a":1}', values: 1 },
    ]);
    expect(() => readBatch(bytes.subarray(0, bytes.length - 1))).toThrow(DataError);
  });
});
