import type { ConnectorHost, Finding, ProbeArgs } from "#sdk/connector";
import { errorText, RejectedError, TransientError } from "#sdk/errors";
import type { Json } from "#sdk/model";
import { fullUuid, isAddress, normalAddress } from "./addresses.ts";
import type { Advertisement } from "./advertisement.ts";
import type { Characteristic } from "./gatt-client.ts";
import type { PeripheralLink } from "./link.ts";
import { Around, MAX_SECONDS, ProbeSession } from "./probe-session.ts";
import {
  describeValue,
  proposeAdvertised,
  proposeConnected,
  type SeenCharacteristic,
} from "./proposal.ts";
import { handleText } from "./target.ts";

/** Arguments of `tbgw probe ble`. */
export const probeArgs = {
  target: {
    type: "positional",
    description: "Address of a peripheral: connects it and shows its characteristics",
    valueHint: "AA:BB:CC:DD:EE:FF",
    required: false,
  },
  adapter: {
    type: "string",
    description: "hci0, tcp:HOST:PORT or serial:/dev/ttyS1@115200 (default hci0)",
    valueHint: "NAME",
  },
  seconds: {
    type: "string",
    description: "How long to listen, or to wait for the peripheral (default 10)",
    valueHint: "N",
  },
  connect: {
    type: "boolean",
    description: "Without an address: connect the strongest 5 too, one after the other",
  },
  passive: { type: "boolean", description: "Listen without asking for scan responses" },
} as const satisfies ProbeArgs;

type Options = Readonly<Record<string, string | boolean>>;
type Tools = Pick<ConnectorHost, "clock" | "log">;

/** Peripherals of the proposed file. */
const MAX_PROPOSED = 20;
/** Peripherals that `--connect` connects. */
const MAX_CONNECTED = 5;

/**
 * Listens to Bluetooth advertisements and says each one that is new, or connects a peripheral and says what it has; ends with a connector
 * file. Nothing is written. @throws RejectedError for an option that is none, TransientError when the adapter cannot be used or the
 * peripheral is not there
 */
export async function* probeBle(
  options: Options,
  tools: Tools,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const wish = readWish(options);
  const { name, target, durationMs, connects } = wish;
  await using session = await ProbeSession.open(wish, tools.clock, signal);
  const around = new Around(
    tools.clock,
    (address) => target === "" || normalAddress(address) === normalAddress(target),
  );
  yield { text: `Listening on ${name} for ${durationMs / 1000} s …` };
  yield* session.listen(around, { durationMs, untilFirst: target !== "" }, signal);
  if (around.size === 0) {
    if (target !== "") {
      throw new TransientError(`${target} was not heard within ${durationMs / 1000} s`);
    }
    yield { text: "Nothing was heard" };
    return;
  }
  const devices: Json[] = [];
  for (const [address, advertisement] of around.strongest(
    connects ? MAX_CONNECTED : MAX_PROPOSED,
  )) {
    const peripheral = { address, advertisement, isOnly: target !== "" };
    const device = connects
      ? yield* look(session, peripheral, signal)
      : proposeAdvertised(address, advertisement);
    devices.push(...(device === undefined ? [] : [device]));
  }
  if (devices.length > 0) {
    yield { text: "A connector file to begin with:", config: { adapter: name, devices } };
  }
}

/** What the options ask for. @throws RejectedError */
function readWish(options: Options) {
  const target = String(options["target"] ?? "");
  if (target !== "" && !isAddress(target)) {
    throw new RejectedError(`"${target}" is no address of a peripheral such as A4:C1:38:0B:5E:77`);
  }
  return {
    name: String(options["adapter"] ?? "hci0"),
    target,
    durationMs: 1000 * readSeconds(options),
    connects: target !== "" || options["connect"] === true,
    passive: options["passive"] === true,
  };
}

/** Connects one peripheral; the proposed device, or `undefined` when it cannot be connected and is not the only one. */
async function* look(
  session: ProbeSession,
  peripheral: {
    readonly address: string;
    readonly advertisement: Advertisement;
    readonly isOnly: boolean;
  },
  signal: AbortSignal,
): AsyncGenerator<Finding, Json | undefined> {
  const { address, advertisement, isOnly } = peripheral;
  try {
    await using link = await session.connect(address, signal);
    await link.discover(signal);
    yield { text: `${address} is connected: ${link.characteristics.length} characteristics` };
    const seen: SeenCharacteristic[] = [];
    let shown = 0;
    for (const characteristic of link.characteristics) {
      const { uuid, handle, service, properties } = characteristic;
      if (service.startHandle !== shown) {
        shown = service.startHandle;
        yield { text: `  service ${fullUuid(service.uuid)}` };
      }
      const { value, meaning } = await valueOf(link, characteristic, signal);
      seen.push({ uuid, handle, properties, value });
      yield {
        text: `    ${handleText(handle)}  ${fullUuid(uuid)} (${properties.join(", ")})${meaning}`,
        detail: { address, service: service.uuid, characteristic: uuid, handle, properties },
      };
    }
    return proposeConnected(address, advertisement.name, seen);
  } catch (error) {
    signal.throwIfAborted();
    if (isOnly || !(error instanceof TransientError)) {
      throw error;
    }
    yield { text: `${address} cannot be connected: ${errorText(error)}` };
    return undefined;
  }
}

async function valueOf(
  link: PeripheralLink,
  characteristic: Characteristic,
  signal: AbortSignal,
): Promise<{ readonly value: Uint8Array | undefined; readonly meaning: string }> {
  if (!characteristic.properties.includes("read")) {
    return { value: undefined, meaning: "" };
  }
  try {
    const value = await link.read(characteristic, signal);
    return { value, meaning: `: ${describeValue(characteristic.uuid, value)}` };
  } catch (error) {
    if (!(error instanceof RejectedError)) {
      throw error;
    }
    return { value: undefined, meaning: `: ${errorText(error)}` };
  }
}

function readSeconds(options: Options): number {
  const value = Number(options["seconds"] ?? "10");
  if (!Number.isInteger(value) || value < 1 || value > MAX_SECONDS) {
    throw new RejectedError(`--seconds must be a whole number from 1 to ${MAX_SECONDS}`);
  }
  return value;
}
