import type { JsonRecord } from "../../../config/canonical.ts";
import type { Interview } from "../interview.ts";
import { type Assistant, given, optionText, type ProbeOptions, parsePairs } from "./assistant.ts";
import { askSeconds, askValues, wholeProblem } from "./questions.ts";

const TYPES = ["float", "int", "string", "json", "bool"];

/** The wizard's part for devices that send text over a serial port. */
export const serial: Assistant = {
  type: "serial",
  label: "Serial port, text",
  hint: "a device that sends lines such as 23.5;48",
  name: "Serial",
  shape: {
    devices: ["devices"],
    name: ["deviceName"],
    lists: [["telemetry"], ["attributes"]],
    key: "key",
  },
  flags: ["target", "baudrate", "parity", "stopbits", "delimiter", "seconds"],
  where: askWhere,
  byHand,
};

async function askWhere(interview: Interview): Promise<ProbeOptions> {
  const target = await interview.text({
    flag: "serial-target",
    message: "Which serial port?",
    example: "/dev/ttyUSB0",
    check: (text) => (text.startsWith("/") ? undefined : "must be a path such as /dev/ttyUSB0"),
  });
  const baudrate = await interview.text({
    flag: "serial-baudrate",
    message: "Bits per second",
    fallback: "9600",
    check: wholeProblem,
  });
  const seconds = await askSeconds(interview, "serial");
  return given({ target, baudrate, seconds });
}

async function byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord> {
  const deviceName = await interview.text({
    flag: "serial-device",
    message: "Name of the device on the platform",
    fallback: "Serial device",
  });
  const question = {
    type: "serial",
    message: "Its values: NAME=TYPE for the whole line, with @FROM-TO for bytes of it",
    example: "temperature=float@0-4, humidity=float@5-9",
  };
  const values = await askValues(interview, question, serialItems);
  const port = optionText(options, "target");
  const baudrate = Number(optionText(options, "baudrate"));
  return { devices: [{ deviceName, port, baudrate, telemetry: serialItems(values) }] };
}

/** The items that `temperature=float@0-4` stands for. @throws Error naming what is none */
export function serialItems(text: string): readonly JsonRecord[] {
  return parsePairs(text).map(({ name, rest }) => {
    const [, type = "", from, to] = /^(\w+)(?:@(\d+)-(\d+))?$/.exec(rest) ?? [];
    if (!TYPES.includes(type)) {
      throw new Error(`"${rest}" is not TYPE or TYPE@FROM-TO; the types are ${TYPES.join(", ")}`);
    }
    const bytes = from === undefined ? {} : { fromByte: Number(from), toByte: Number(to) };
    return { key: name, type, ...bytes };
  });
}
