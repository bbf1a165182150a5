/** Room for the date of a rotated file within the 255 bytes of a file name. */
const MAX_BYTES = 200;

/** Snake case as the Python gateway makes it: `MQTT Broker_connector` → `mqtt_broker_connector`. */
export function snakeCase(text: string): string {
  return text
    .replaceAll(/[\s-]+/g, "_")
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}_]/gu, "");
}

/** The file of one connector: `myModbusTCP` → `my_modbus_tcp_connector.log`. */
export function connectorFileName(name: string, kind: "connector" | "converter"): string {
  let base = snakeCase(`${name}_${kind}`);
  while (Buffer.byteLength(base) > MAX_BYTES) {
    base = base.slice(1);
  }
  return `${base}.log`;
}
