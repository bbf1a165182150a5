import type { JsonRecord } from "../../../config/canonical.ts";
import type { Interview } from "../interview.ts";
import { type Assistant, given, optionText, type ProbeOptions, parsePairs } from "./assistant.ts";
import { askSeconds, askValues } from "./questions.ts";

/** The wizard's part for Bluetooth Low Energy. */
export const ble: Assistant = {
  type: "ble",
  label: "Bluetooth Low Energy",
  hint: "sensors nearby",
  name: "BLE",
  shape: {
    devices: ["devices"],
    name: ["name"],
    lists: [["telemetry"], ["attributes"]],
    key: "key",
  },
  flags: ["adapter", "target", "seconds", "connect"],
  where: askWhere,
  otherwise: (options) =>
    // Advertisements can be heard beside the system's own Bluetooth service; connecting cannot.
    options["connect"] === true ? { ...options, connect: false } : undefined,
  byHand,
};

async function askWhere(interview: Interview): Promise<ProbeOptions> {
  const adapter = await interview.text({
    flag: "ble-adapter",
    message: "Bluetooth adapter",
    fallback: "hci0",
  });
  const target = await interview.text({
    flag: "ble-target",
    message: "Address of the device (empty: whatever is heard)",
    fallback: "",
  });
  const seconds = await askSeconds(interview, "ble");
  const connect =
    target === "" &&
    (await interview.confirm({
      flag: "ble-connect",
      message: "Connect the strongest five too, to see their values?",
      fallback: false,
    }));
  return given({ adapter, target, seconds, ...(connect ? { connect } : {}) });
}

async function byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord> {
  const known = optionText(options, "target");
  const mac = await interview.text({
    flag: "ble-mac",
    message: "Address of the device",
    ...(known === "" ? {} : { fallback: known }),
    example: "A4:C1:38:0B:5E:77",
    check: (text) =>
      /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) ? undefined : "must look like A4:C1:38:0B:5E:77",
  });
  const name = await interview.text({
    flag: "ble-device",
    message: "Name of the device on the platform",
    fallback: `BLE ${mac.slice(-5)}`,
  });
  const question = {
    type: "ble",
    message: "Its values: NAME=CHARACTERISTIC, with @FORMAT for a number",
    example: "battery=2A19@uint8, temperature=2A6E@int16le",
  };
  const values = await askValues(interview, question, bleItems);
  const device = { name, MACAddress: mac, pollPeriod: 60_000, telemetry: bleItems(values) };
  return { name: "BLE", adapter: optionText(options, "adapter") || "hci0", devices: [device] };
}

/** The items that `battery=2A19@uint8` stands for. @throws Error naming what is none */
export function bleItems(text: string): readonly JsonRecord[] {
  return parsePairs(text).map(({ name, rest }) => {
    const [, uuid, format] = /^([0-9a-f-]{4,36})(?:@(\w+))?$/i.exec(rest) ?? [];
    if (uuid === undefined) {
      throw new Error(`"${rest}" is not the UUID of a characteristic such as 2A19`);
    }
    return {
      key: name,
      method: "read",
      characteristicUUID: uuid,
      format: format ?? "hex",
    };
  });
}
