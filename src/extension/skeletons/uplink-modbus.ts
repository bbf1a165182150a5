import { defineUplink, Float } from "tbgw/sdk";
import * as v from "valibot";

/** Sends the first register of each element divided by 10, and bits as they are. */
export default defineUplink({
  name: "SkeletonName",
  type: "modbus",
  // The settings of the slave that names this converter.
  schema: v.looseObject({}),
  create: () => (read) => {
    const telemetry: Record<string, Float | boolean> = {};
    const attributes: Record<string, Float | boolean> = {};
    for (const item of read.items) {
      const values = item.section === "telemetry" ? telemetry : attributes;
      const first = "registers" in item ? item.registers[0] : item.bits[0];
      if (first !== undefined) {
        values[item.key] = typeof first === "number" ? new Float(first / 10) : first;
      }
    }
    return { deviceName: read.deviceName, telemetry: [{ values: telemetry }], attributes };
  },
});
