import { expect, test } from "bun:test";
import fc from "fast-check";
import { BinaryStream } from "node-opcua-binary-stream";
import {
  DataType,
  DataValue,
  MonitoredItemNotification,
  StatusCodes,
  Variant,
  VariantArrayType,
} from "node-opcua-client";
import { decodeChanges } from "../../../../connectors/opcua/change-decoder.ts";
import { convertValue } from "../../../../connectors/opcua/codec.ts";
import { type Sample, sampleOf } from "../../../../connectors/opcua/uplink.ts";

/** Room for every example. */
const SIZE = 65_536;

const integer = (dataType: DataType, min: number, max: number) =>
  fc.record({ dataType: fc.constant(dataType), value: fc.integer({ min, max }) });
const bits = fc.integer({ min: 0, max: 0xff_ff_ff_ff });
const scalar = fc.oneof(
  fc.record({ dataType: fc.constant(DataType.Boolean), value: fc.boolean() }),
  integer(DataType.SByte, -128, 127),
  integer(DataType.Byte, 0, 255),
  integer(DataType.Int16, -32_768, 32_767),
  integer(DataType.UInt16, 0, 65_535),
  integer(DataType.Int32, -0x80_00_00_00, 0x7f_ff_ff_ff),
  integer(DataType.UInt32, 0, 0xff_ff_ff_ff),
  fc.record({ dataType: fc.constant(DataType.Int64), value: fc.tuple(bits, bits) }),
  fc.record({ dataType: fc.constant(DataType.UInt64), value: fc.tuple(bits, bits) }),
  fc.record({ dataType: fc.constant(DataType.Float), value: fc.float() }),
  fc.record({ dataType: fc.constant(DataType.Double), value: fc.double() }),
  fc.record({ dataType: fc.constant(DataType.String), value: fc.string() }),
  fc.record({ dataType: fc.constant(DataType.DateTime), value: fc.date({ noInvalidDate: true }) }),
);
const variant = fc.oneof(
  scalar.map((one) => new Variant({ ...one, arrayType: VariantArrayType.Scalar })),
  fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 5 })
    .map(
      (value) =>
        new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Array, value }),
    ),
  fc.constant(new Variant({ dataType: DataType.Null })),
);
const moment = fc.option(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }));
const dataValue = fc
  .record({
    value: variant,
    statusCode: fc.constantFrom(
      StatusCodes.Good,
      StatusCodes.GoodWithOverflowBit,
      StatusCodes.UncertainInitialValue,
      StatusCodes.BadNodeIdUnknown,
    ),
    sourceTimestamp: moment,
    serverTimestamp: moment,
    sourcePicoseconds: fc.constantFrom(0, 10, 100_000, 9_999_990),
    serverPicoseconds: fc.constantFrom(0, 10, 100_000, 9_999_990),
  })
  .map((options) => new DataValue(options));

/** A list of changes as it is on the wire, and what follows it. */
function encoded(values: readonly DataValue[]): BinaryStream {
  const stream = new BinaryStream(SIZE);
  stream.writeUInt32(values.length);
  for (const [clientHandle, value] of values.entries()) {
    new MonitoredItemNotification({ clientHandle, value }).encode(stream);
  }
  return new BinaryStream(
    Buffer.concat([stream.buffer.subarray(0, stream.length), Buffer.from("end")]),
  );
}

/** What becomes of a sample: all that the connector looks at. */
function meaning(sample: Sample): unknown {
  const { statusCode, sourceMs, serverMs } = sample;
  const value = convertValue(sample, { python: false });
  return { value, status: statusCode.value, sourceMs, serverMs };
}

test("changes are read as the stack reads them, to the last byte", () => {
  fc.assert(
    fc.property(fc.array(dataValue, { maxLength: 8 }), (values) => {
      const stream = encoded(values);
      const changes = decodeChanges(stream, { DataValue, StatusCodes });
      const theirs = encoded(values);
      theirs.length = 4;
      for (const [index, change] of changes.entries()) {
        const expected = new MonitoredItemNotification(null);
        expected.decode(theirs);
        expect(change.clientHandle).toBe(index);
        expect(meaning(change)).toEqual(meaning(sampleOf(expected.value)));
      }
      expect(changes).toHaveLength(values.length);
      expect(stream.length).toBe(theirs.length);
    }),
  );
});

test("a list that is not there has no changes", () => {
  const stream = new BinaryStream(Buffer.from([255, 255, 255, 255]));
  expect(decodeChanges(stream, { DataValue, StatusCodes })).toEqual([]);
  expect(stream.length).toBe(4);
});

test.each([
  ["a length of more than there is", [255, 255, 255, 127]],
  ["a value that ends early", [1, 0, 0, 0, 7, 0, 0, 0, 1, 11, 0, 0]],
])("%s is refused", (_, bytes) => {
  const stream = new BinaryStream(Buffer.from(bytes));
  expect(() => decodeChanges(stream, { DataValue, StatusCodes })).toThrow();
});
