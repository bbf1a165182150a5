import type { Json } from "#sdk/model";
import type { JsonRecord } from "../../../config/canonical.ts";
import type { Interview } from "../interview.ts";
import { type Assistant, given, optionText, type ProbeOptions, parsePairs } from "./assistant.ts";
import { askValues, unasked, wholeProblem } from "./questions.ts";

/** Registers that a value of a type takes (the type names of the connector's README). */
const SIZES: Readonly<Record<string, number>> = {
  "16int": 1,
  "16uint": 1,
  "16float": 1,
  "32int": 2,
  "32uint": 2,
  "32float": 2,
  "64int": 4,
  "64uint": 4,
  "64float": 4,
};

/** The wizard's part for Modbus. */
export const modbus: Assistant = {
  type: "modbus",
  label: "Modbus",
  hint: "TCP, or RTU and ASCII on a serial line",
  name: "Modbus",
  shape: {
    devices: ["master", "slaves"],
    name: ["deviceName"],
    lists: [["timeseries"], ["attributes"]],
    key: "tag",
  },
  flags: ["target", "unit", "expect", "registers", "baudrate", "parity", "stopbits", "method"],
  where: askWhere,
  byHand,
};

async function askWhere(interview: Interview): Promise<ProbeOptions> {
  const target = await interview.text({
    flag: "modbus-target",
    message: "Where is the Modbus device? HOST, HOST:PORT, or a serial port",
    example: "10.0.0.7 or /dev/ttyUSB0",
  });
  const isSerial = target.startsWith("/");
  const line = isSerial ? await askLine(interview) : {};
  const unit = await interview.text({
    flag: "modbus-unit",
    message: "Unit id, or the range to look through (1-247: all of them)",
    fallback: isSerial ? "1-10" : "1",
    check: rangeProblem,
  });
  const expect = await interview.text({
    flag: "modbus-expect",
    message: "Values the device shows now, so that they can be found (empty: take all registers)",
    example: "voltage=229.01, power=1500",
    fallback: "",
  });
  const extra = unasked(interview, "modbus", ["registers", "method", "timeout"]);
  // A scan must be quick; one device may take its time.
  const patience = unit.includes("-") ? {} : { timeout: "2000" };
  return given({ target, ...line, unit, expect, ...patience, ...extra });
}

async function askLine(interview: Interview): Promise<ProbeOptions> {
  const baudrate = await interview.text({
    flag: "modbus-baudrate",
    message: "Bits per second",
    fallback: "9600",
    check: wholeProblem,
  });
  const parity = await interview.choose({
    flag: "modbus-parity",
    message: "Parity",
    fallback: "N",
    choices: [
      { value: "N", label: "none" },
      { value: "E", label: "even" },
      { value: "O", label: "odd" },
    ],
  });
  const stopbits = await interview.choose({
    flag: "modbus-stopbits",
    message: "Stop bits",
    fallback: "1",
    choices: [
      { value: "1", label: "1" },
      { value: "2", label: "2" },
    ],
  });
  return { baudrate, parity, stopbits };
}

function rangeProblem(text: string): string | undefined {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  return first === undefined || Number(last) < Number(first) || Number(last) > 255
    ? "must be a number from 0 to 255, or a range such as 1-10"
    : undefined;
}

async function byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord> {
  const unitId = Number(optionText(options, "unit").split("-")[0] ?? 1);
  const deviceName = await interview.text({
    flag: "modbus-device",
    message: "Name of the device on the platform",
    fallback: `Modbus ${unitId}`,
  });
  const question = {
    type: "modbus",
    message:
      "Its values: NAME=TYPE@ADDRESS, with :3 or :4 for the function code, /10 for a divider",
    example: "temperature=16int@0/10, flow=32float@12, level=16uint@3:4",
  };
  const values = await askValues(interview, question, modbusItems);
  const orders = { byteOrder: "BIG", wordOrder: "BIG" };
  const slave = {
    deviceName,
    ...lineOf(options),
    unitId,
    pollPeriod: 5000,
    ...orders,
    timeseries: modbusItems(values),
  };
  return { master: { slaves: [slave] } };
}

/** The items that `temperature=16int@0/10, flow=32float@12:4` stands for. @throws Error naming what is none */
export function modbusItems(text: string): readonly JsonRecord[] {
  return parsePairs(text).map(({ name, rest }) => {
    const [, type = "", address, code = "3", divider] =
      /^(\w+)@(\d+)(?::([1-4]))?(?:\/(\d+))?$/.exec(rest) ?? [];
    const isBits = type === "bits" || type === "bit";
    const objectsCount = isBits ? 1 : SIZES[type];
    if (address === undefined || objectsCount === undefined) {
      const known = [...Object.keys(SIZES), "bits"].join(", ");
      throw new Error(`"${rest}" is not TYPE@ADDRESS; the types are ${known}`);
    }
    return {
      tag: name,
      type: isBits ? "bits" : type,
      functionCode: Number(code),
      objectsCount,
      address: Number(address),
      ...(divider === undefined ? {} : { divider: Number(divider) }),
    };
  });
}

function lineOf(options: ProbeOptions): Readonly<Record<string, Json>> {
  const target = optionText(options, "target");
  const method = optionText(options, "method");
  if (target.startsWith("/")) {
    return {
      type: "serial",
      method: method === "ascii" ? method : "rtu",
      port: target,
      baudrate: Number(options["baudrate"] ?? 9600),
      parity: optionText(options, "parity") || "N",
      stopbits: Number(options["stopbits"] ?? 1),
    };
  }
  const [, host = target, port = "502"] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(target) ?? [];
  return { type: "tcp", method: method || "socket", host, port: Number(port) };
}
