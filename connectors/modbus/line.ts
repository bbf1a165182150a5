import type { Framing } from "./frames.ts";
import type { ClientSecurity } from "./line-config.ts";
import type { SlaveConfig } from "./slave-config.ts";

/** Settings of a serial line. */
export interface SerialSettings {
  readonly path: string;
  readonly baudRate: number;
  readonly dataBits: number;
  readonly parity: "N" | "E" | "O" | "M" | "S";
  readonly stopBits: number;
  readonly rs485: boolean;
  readonly localEcho: boolean;
}

/** One physical line: where it leads to and how messages stand on it. */
export type Line =
  | {
      readonly kind: "tcp" | "udp";
      readonly framing: Framing;
      readonly host: string;
      readonly port: number;
      /** `undefined`: not encrypted. */
      readonly tls: ClientSecurity | undefined;
    }
  | { readonly kind: "serial"; readonly framing: Framing; readonly serial: SerialSettings };

type LineConfig = Pick<
  SlaveConfig,
  | "type"
  | "method"
  | "port"
  | "baudrate"
  | "stopbits"
  | "bytesize"
  | "parity"
  | "handleLocalEcho"
  | "rs485"
> & {
  readonly host?: string | undefined;
  readonly tls?: ClientSecurity | undefined;
  readonly security?: ClientSecurity | undefined;
};

/** The line of a device, from its configuration. */
export function lineOf(config: LineConfig): Line {
  const { type, method, port } = config;
  if (type === "serial") {
    return {
      kind: "serial",
      framing: method === "ascii" ? "ascii" : "rtu",
      serial: {
        path: String(port),
        baudRate: config.baudrate,
        dataBits: config.bytesize,
        parity: config.parity,
        stopBits: config.stopbits,
        rs485: config.rs485,
        localEcho: config.handleLocalEcho,
      },
    };
  }
  const isSecure = method === "tls" || config.tls !== undefined || config.security !== undefined;
  return {
    kind: type,
    framing: method === "rtu" || method === "ascii" ? method : "socket",
    host: config.host ?? "localhost",
    port: Number(port),
    tls: isSecure ? (config.tls ?? config.security ?? { insecure: false }) : undefined,
  };
}

/** What two devices share when they are on the same physical line. */
export function lineKey(line: Line): string {
  return line.kind === "serial"
    ? `serial:${line.serial.path}`
    : `${line.kind}:${line.host.toLowerCase()}:${line.port}`;
}

/** A line in words, for logs. */
export function lineName(line: Line): string {
  if (line.kind === "serial") {
    const { path, baudRate, dataBits, parity, stopBits } = line.serial;
    return `${path} (${baudRate} ${dataBits}${parity}${stopBits} ${line.framing})`;
  }
  const how = line.tls === undefined ? "" : " with TLS";
  return `${line.kind} ${line.host}:${line.port}${line.framing === "socket" ? "" : ` ${line.framing}`}${how}`;
}

/** Settings in which two devices of one line disagree, by their names in the configuration. */
export function lineDifferences(one: Line, other: Line): readonly string[] {
  const differences = one.framing === other.framing ? [] : ["method"];
  if (one.kind === "serial" && other.kind === "serial") {
    const names = {
      baudRate: "baudrate",
      dataBits: "bytesize",
      parity: "parity",
      stopBits: "stopbits",
      rs485: "rs485",
      localEcho: "handleLocalEcho",
    } as const;
    for (const key of [
      "baudRate",
      "dataBits",
      "parity",
      "stopBits",
      "rs485",
      "localEcho",
    ] as const) {
      if (one.serial[key] !== other.serial[key]) {
        differences.push(names[key]);
      }
    }
  } else if (one.kind !== "serial" && other.kind !== "serial") {
    if (JSON.stringify(one.tls) !== JSON.stringify(other.tls)) {
      differences.push("tls");
    }
  }
  return differences;
}

/** How long characters and pauses take on a line; all 0 but on a serial one. */
export interface LineTiming {
  /** One character with its start, parity and stop bits. */
  readonly charMs: number;
  /** Silence between two frames. */
  readonly gapMs: number;
}

/** Above this rate the pauses of RTU are fixed (Modbus over serial line §2.5.1.1). */
const FIXED_GAP_ABOVE = 19_200;

/** Times of a line. */
export function timingOf(line: Line): LineTiming {
  if (line.kind !== "serial") {
    return { charMs: 0, gapMs: 0 };
  }
  const { baudRate, dataBits, parity, stopBits } = line.serial;
  const bits = 1 + dataBits + (parity === "N" ? 0 : 1) + stopBits;
  const charMs = (1000 * bits) / baudRate;
  return { charMs, gapMs: baudRate > FIXED_GAP_ABOVE ? 1.75 : 3.5 * charMs };
}

/** Characters of a message on the wire, for a message of `pduSize` bytes. */
export function wireSize(framing: Framing, pduSize: number): number {
  switch (framing) {
    case "socket":
      return pduSize + 7;
    case "rtu":
      return pduSize + 3;
    case "ascii":
      return 2 * pduSize + 7;
  }
}
