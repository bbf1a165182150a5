/** What is used of noble: a central on top of HCI packets. Never its front door, which would open an adapter of its own. */
export { default as Bindings } from "@abandonware/noble/lib/hci-socket/bindings.js";
export { default as createCentral } from "@abandonware/noble/with-bindings.js";
