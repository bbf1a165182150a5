// Takes the place of the native module of this name, through "overrides" in package.json. It is never bound: whoever makes
// noble's bindings gives them an open adapter instead, before they start.
const { EventEmitter } = require("node:events");

module.exports = class BluetoothHciSocket extends EventEmitter {
  /** @throws Error always: nobody gave the bindings an adapter */
  bindRaw() {
    throw new Error("There is no adapter behind this socket");
  }
};
