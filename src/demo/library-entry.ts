/** What is used of the broker of the demo's devices. */
export { Aedes } from "aedes";
