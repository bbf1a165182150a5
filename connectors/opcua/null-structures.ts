import { findBuiltInType, registerBuiltInType } from "node-opcua-factory";

/** The length of a body that is null (OPC UA Part 6 §5.2.2.7). */
const NULL_LENGTH = 0xffff_ffff;

/**
 * Teaches the stack structures whose body is null: no value. By itself it gives up the whole message, and with it the values of
 * all other nodes. To be called once, before the first message is decoded.
 */
export function acceptNullStructures(): void {
  // Both can be decoded: only abstract types cannot.
  const structure = findBuiltInType("ExtensionObject");
  const typeId = findBuiltInType("NodeId");
  registerBuiltInType({
    ...structure,
    decode: (stream) => {
      const start = stream.length;
      typeId.decode?.(stream);
      const hasBody = stream.readUInt8() !== 0;
      if (hasBody && stream.readUInt32() === NULL_LENGTH) {
        return null;
      }
      stream.length = start;
      return structure.decode?.(stream);
    },
  });
}
