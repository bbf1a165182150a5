/** What is used of noble: a central on top of HCI packets. Never its front door, which would open an adapter of its own. */
import characteristics from "@abandonware/noble/lib/characteristics.json";
import descriptors from "@abandonware/noble/lib/descriptors.json";
import services from "@abandonware/noble/lib/services.json";

export { default as Bindings } from "@abandonware/noble/lib/hci-socket/bindings.js";
export { default as createCentral } from "@abandonware/noble/with-bindings.js";

const NAMES: Readonly<Record<string, { readonly name: string } | undefined>> = {
  ...characteristics,
  ...descriptors,
  ...services,
};

/** The name the Bluetooth SIG gives to a UUID of `normalUuid`; `undefined`: none. */
export function nameOf(uuid: string): string | undefined {
  return NAMES[uuid]?.name;
}
