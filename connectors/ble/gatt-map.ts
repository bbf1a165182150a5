import { errorText, TransientError } from "#sdk/errors";
import { fullUuid } from "./addresses.ts";
import { hexText } from "./codec.ts";
import { loadLibrary } from "./library.ts";
import type { PeripheralLink } from "./link.ts";

/** Services, characteristics and descriptors of a connected peripheral, with what can be read. @throws TransientError */
export async function gattMap(
  deviceName: string,
  link: PeripheralLink,
  signal: AbortSignal,
): Promise<string> {
  const { nameOf } = await loadLibrary();
  const describe = (uuid: string, handle: number): string =>
    `${fullUuid(uuid)} (Handle: ${handle}): ${nameOf(uuid) ?? "Unknown"}`;
  const lines = [`MAP FOR ${deviceName.toUpperCase()}`];
  let shown = 0;
  for (const characteristic of link.characteristics) {
    const { uuid, handle, properties, service } = characteristic;
    if (service.startHandle !== shown) {
      shown = service.startHandle;
      lines.push(`| [Service] ${describe(service.uuid, service.startHandle)}`);
    }
    const value = properties.includes("read")
      ? await attempt(async () => valueText(await link.read(characteristic, signal, true)), signal)
      : "None";
    lines.push(
      `| \t[Characteristic] ${describe(uuid, handle)} (${properties.join(",")}), Value: ${value}`,
    );
    const descriptors = await attempt(async () => {
      const found = await link.descriptors(characteristic, signal);
      return found.map(
        (one) =>
          `| \t\t[Descriptor] ${describe(one.uuid, one.handle)} | Value: ${valueText(one.value)}`,
      );
    }, signal);
    lines.push(...(typeof descriptors === "string" ? [] : descriptors));
  }
  return lines.join("\n");
}

/** The result, or the text of the error; not when the link is gone, because then nothing more will come. */
async function attempt<T>(job: () => Promise<T>, signal: AbortSignal): Promise<T | string> {
  try {
    return await job();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TransientError) {
      throw error;
    }
    return errorText(error);
  }
}

/** Bytes in hexadecimal, and the text they are where they can be printed. */
function valueText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1");
  return bytes.length > 0 && /^[\x20-\x7e]+$/.test(text)
    ? `${hexText(bytes)} "${text}"`
    : hexText(bytes);
}
