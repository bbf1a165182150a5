// The ways in which a platform misbehaves. Each resolves when the fault is over.
import { systemClock } from "../../src/sdk/clock.ts";
import { type FaultLine, isFull, shortOrFull } from "./harness.ts";

/** One way, and what the gateway is allowed. */
export interface UplinkFault {
  readonly name: string;
  readonly inflict: (line: FaultLine) => Promise<void>;
  /** The link is 3.1.1 when it begins. */
  readonly oldProtocol?: boolean;
  /** Longest silence after it, in ms. */
  readonly silenceMs?: number;
  /** Records may be set aside: the platform said of them that they are wrong. */
  readonly setsAside?: boolean;
}

const TELEMETRY = { topic: "v1/gateway/telemetry" };
const SILENCE_MS = 30_000;
/** Refused credentials are tried again after 60 s: sooner may lock the account. */
const CREDENTIALS_SILENCE_MS = 65_000;

/** Longest silence a fault allows. */
export function allowedSilenceMs({ silenceMs = SILENCE_MS }: UplinkFault): number {
  return silenceMs;
}

/** MQTT 3.1.1 §3.2.2.3. */
const RETURN_CODES = [1, 2, 3, 4, 5];
const RETURN_CODES_CREDENTIALS = new Set([2, 4, 5]);
/** MQTT 5 §3.2.2.2, the reason codes of CONNACK that refuse. */
const CONNACK_CODES = [
  0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
  0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
];
const CONNACK_CODES_CREDENTIALS = new Set([0x85, 0x86, 0x87, 0x8a, 0x8c]);
/** MQTT 5 §3.4.2.1, and codes a ThingsBoard server sends besides. */
const PUBACK_CODES = [0x80, 0x81, 0x83, 0x87, 0x90, 0x91, 0x95, 0x96, 0x97, 0x99];

const hex = (code: number): string => `0x${code.toString(16).padStart(2, "0")}`;

/** Cuts every connection and listens again at once. */
async function cut(line: FaultLine): Promise<void> {
  await line.platform.down();
  await line.platform.up();
}

/** Cuts the connection and refuses every attempt for `durationMs`. */
async function refuseConnect(line: FaultLine, code: number, durationMs: number): Promise<void> {
  const { platform } = line;
  platform.faults.refuseConnect(code);
  await cut(line);
  await line.pass(durationMs);
  platform.faults.clear();
}

/** A fault of publishes for a time. */
function publishing(
  fault: Parameters<FaultLine["platform"]["faults"]["publish"]>[0],
  durationMs: number,
): (line: FaultLine) => Promise<void> {
  return async (line) => {
    using _fault = line.platform.faults.publish(fault, TELEMETRY);
    await line.pass(durationMs);
  };
}

function connackFaults(): readonly UplinkFault[] {
  const durationMs = shortOrFull(3000, 20_000);
  const old = RETURN_CODES.map((code) => ({
    name: `CONNACK return code ${code} of MQTT 3.1.1`,
    oldProtocol: true,
    silenceMs: RETURN_CODES_CREDENTIALS.has(code) ? CREDENTIALS_SILENCE_MS : SILENCE_MS,
    inflict: (line: FaultLine) => refuseConnect(line, code, durationMs),
  }));
  const current = CONNACK_CODES.map((code) => ({
    name: `CONNACK reason code ${hex(code)} of MQTT 5`,
    silenceMs: CONNACK_CODES_CREDENTIALS.has(code) ? CREDENTIALS_SILENCE_MS : SILENCE_MS,
    inflict: (line: FaultLine) => refuseConnect(line, code, durationMs),
  }));
  return [...old, ...current];
}

function pubackFaults(): readonly UplinkFault[] {
  return [
    {
      name: "accepts and never sends PUBACK",
      inflict: publishing({ action: "drop" }, shortOrFull(25_000, 120_000)),
    },
    {
      name: "sends PUBACK after 20 s",
      inflict: publishing({ action: "delay", ms: 20_000 }, shortOrFull(30_000, 120_000)),
    },
    {
      name: "sends PUBACK twice",
      inflict: publishing({ action: "duplicate" }, shortOrFull(5000, 60_000)),
    },
    {
      name: "sends PUBACKs in another order",
      inflict: async (line) => {
        line.platform.faults.reorderPubacks(3);
        await line.pass(shortOrFull(15_000, 60_000));
        line.platform.faults.clear();
      },
    },
    ...PUBACK_CODES.map((code) => ({
      name: `PUBACK with ${hex(code)}`,
      setsAside: true,
      inflict: publishing({ action: "refuse", code }, shortOrFull(4000, 30_000)),
    })),
    ...[0x97, 0x99].map((code) => ({
      name: `PUBACK with ${hex(code)} and a close`,
      setsAside: true,
      inflict: publishing({ action: "refuse", code, close: true }, shortOrFull(8000, 30_000)),
    })),
  ];
}

function linkFaults(): readonly UplinkFault[] {
  return [
    {
      name: "stops reading: half open",
      inflict: async (line) => {
        line.platform.faults.reading.close();
        await line.pass(shortOrFull(30_000, 120_000));
        line.platform.faults.reading.open();
      },
    },
    {
      name: "is away",
      inflict: async (line) => {
        await line.platform.down();
        await line.pass(shortOrFull(10_000, 300_000));
        await line.platform.up();
      },
    },
    {
      name: "closes each TCP connection at once",
      inflict: async (line) => {
        line.platform.faults.refuseTcp = true;
        await cut(line);
        await line.pass(shortOrFull(8000, 60_000));
        line.platform.faults.refuseTcp = false;
      },
    },
    {
      name: "is cut every 5 s",
      inflict: async (line) => {
        const endMs = systemClock.monotonicMs() + shortOrFull(30_000, 600_000);
        while (systemClock.monotonicMs() < endMs) {
          await cut(line);
          await line.pass(5000);
        }
      },
    },
    ...[1, 2, 3, 10].map((publishes) => ({
      name: `closes after every publish no. ${publishes}`,
      inflict: async (line: FaultLine) => {
        const times = 1_000_000;
        line.platform.faults.closeAfter({ publishes, times });
        await line.pass(shortOrFull(20_000, 120_000));
        line.platform.faults.clear();
      },
    })),
  ];
}

/** Refused credentials cost a minute each and take one path: one code for each protocol tells it in a normal run. */
function isRepresentative({ name, silenceMs }: UplinkFault): boolean {
  return silenceMs !== CREDENTIALS_SILENCE_MS || /code (5|0x87) /.test(name);
}

/** All of them, those that take longest first. */
export function uplinkFaults(): readonly UplinkFault[] {
  return [...linkFaults(), ...connackFaults(), ...pubackFaults()]
    .filter((fault) => isFull || isRepresentative(fault))
    .toSorted((a, b) => allowedSilenceMs(b) - allowedSilenceMs(a));
}
