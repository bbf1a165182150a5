import * as v from "valibot";
import { field, optional, required } from "#sdk/config";
import { anyNumber, wholeNumber } from "./item-config.ts";

const transport = v.pipe(v.string(), v.toLowerCase(), v.picklist(["tcp", "udp", "serial"]));
const framing = v.pipe(v.string(), v.toLowerCase(), v.picklist(["socket", "rtu", "ascii", "tls"]));

const stopBits = v.pipe(
  anyNumber,
  v.check((value) => [1, 1.5, 2].includes(value), "must be 1, 1.5 or 2"),
);
const parity = v.pipe(v.string(), v.toUpperCase(), v.picklist(["N", "E", "O", "M", "S"]));

/** `BIG` in any case; every other text is little, as in the Python gateway. */
export const order = v.pipe(
  v.string(),
  v.transform((text): "BIG" | "LITTLE" => (text.trim().toUpperCase() === "BIG" ? "BIG" : "LITTLE")),
);

/** Where a device or the server of the gateway is, and the settings of a serial line. */
export const lineFields = {
  type: field(transport, "tcp", {
    doc: "`tcp`, `udp` or `serial`.",
    wizard: "How is the device connected?",
  }),
  method: optional(framing, {
    doc: "Framing: `socket` (Modbus TCP), `rtu` or `ascii`; `tls` is `socket` with TLS. tcp and udp take all but `tls` on udp, serial only `rtu` and `ascii`. Default: `rtu` for serial, else `socket`.",
  }),
  host: optional(v.pipe(v.string(), v.trim()), {
    doc: "tcp and udp: host name or address. Default: `localhost`.",
    reference: true,
    wizard: "Host of the device?",
  }),
  port: required(
    v.union([wholeNumber(1, 65_535), v.pipe(v.string(), v.nonEmpty("must not be empty"))]),
    {
      doc: "TCP or UDP port, or the path of the serial device.",
      reference: true,
      wizard: "Port of the device?",
      examples: [502, "/dev/ttyUSB0"],
    },
  ),
  baudrate: field(wholeNumber(50, 4_000_000), 19_200, { doc: "serial: bits per second." }),
  stopbits: field(stopBits, 1, { doc: "serial: 1, 1.5 or 2." }),
  bytesize: field(wholeNumber(5, 8), 8, { doc: "serial: data bits; `rtu` needs 8." }),
  parity: field(parity, "N", { doc: "serial: none, even, odd, mark or space." }),
  handleLocalEcho: field(v.boolean(), false, {
    doc: "serial: the line repeats what is sent; drop that.",
  }),
  rs485: field(v.boolean(), false, {
    doc: "serial: let the kernel driver switch the direction of an RS-485 transceiver (RTS). Most USB adapters do it by themselves.",
  }),
} as const;

/** `tls` or `security` of a device. */
export const clientSecurity = v.looseObject({
  caCert: optional(v.string(), {
    doc: "PEM file of the certificate authority. Without one the operating system's list decides.",
    reference: true,
  }),
  certfile: optional(v.string(), { doc: "PEM file of our certificate.", reference: true }),
  keyfile: optional(v.string(), { doc: "PEM file of its key.", reference: true }),
  password: optional(v.string(), {
    doc: "Passphrase of an encrypted key.",
    secret: true,
    reference: true,
  }),
  server_hostname: optional(v.string(), {
    doc: "Name the certificate must be for. Default: `host`.",
    reference: true,
  }),
  insecure: field(v.boolean(), false, {
    doc: "Accept any certificate. Do not use it over a network you do not trust.",
  }),
});

/** `tls` as the connector gets it. */
export type ClientSecurity = v.InferOutput<typeof clientSecurity>;

/** `security` of the gateway's own server. */
export const serverSecurity = v.looseObject({
  certfile: required(v.string(), { doc: "PEM file of the server's certificate.", reference: true }),
  keyfile: required(v.string(), { doc: "PEM file of its key.", reference: true }),
  password: optional(v.string(), {
    doc: "Passphrase of an encrypted key.",
    secret: true,
    reference: true,
  }),
  caCert: optional(v.string(), {
    doc: "PEM file of the authority of the masters' certificates.",
    reference: true,
  }),
  reqclicert: field(v.boolean(), false, { doc: "Masters must show a certificate." }),
});

interface Line {
  readonly type: "tcp" | "udp" | "serial";
  readonly method?: "socket" | "rtu" | "ascii" | "tls" | undefined;
  readonly port: number | string;
  readonly bytesize: number;
}

/** What is wrong with a line as a whole. */
export function lineProblem(line: Line, hasTls: boolean): string | undefined {
  const { type, method, port } = line;
  const isSecure = method === "tls" || hasTls;
  if (isSecure && (type !== "tcp" || method === "rtu" || method === "ascii")) {
    return 'TLS needs "type" tcp and "method" tls or socket';
  }
  if (type === "serial") {
    return serialProblem(line);
  }
  return typeof port === "string"
    ? `"port" must be a number from 1 to 65535, but is ${JSON.stringify(port)}`
    : undefined;
}

function serialProblem({ method, port, bytesize }: Line): string | undefined {
  if (typeof port !== "string") {
    return `"port" must be the path of a serial device, but is ${port}`;
  }
  if (method !== undefined && method !== "rtu" && method !== "ascii") {
    return `"method" must be rtu or ascii on a serial line, but is ${method}`;
  }
  return method !== "ascii" && bytesize !== 8
    ? `"bytesize" must be 8 for rtu, but is ${bytesize}`
    : undefined;
}
