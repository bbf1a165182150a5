/** The force of a press that nobody has set, in kN. */
export const FORCE_SETPOINT_KN = 120;

const CYCLE_MS = 4000;
/** Closing, pressing, opening; then the part is changed. */
const PRESSING = { fromMs: 800, toMs: 2400 } as const;
const IDLE_FROM_MS = 3200;

/** What the sensors of the press say. */
export interface PressState {
  readonly forceKn: number;
  readonly positionMm: number;
  readonly oilTemperatureC: number;
  readonly strokes: number;
  readonly running: boolean;
  readonly phase: "closing" | "pressing" | "opening" | "idle";
}

/** A hydraulic press that makes a stroke every 4 s: its state at `elapsedMs` since the start. */
export function pressAt(elapsedMs: number, setpointKn: number): PressState {
  const inCycleMs = elapsedMs % CYCLE_MS;
  const { fromMs, toMs } = PRESSING;
  const phase = phaseAt(inCycleMs);
  const pressed = Math.sin((Math.PI * (inCycleMs - fromMs)) / (toMs - fromMs));
  const closed = Math.sin((Math.PI * Math.min(inCycleMs, IDLE_FROM_MS)) / IDLE_FROM_MS);
  return {
    forceKn: phase === "pressing" ? oneDecimal(setpointKn * pressed) : 0,
    positionMm: oneDecimal(250 - 210 * closed),
    oilTemperatureC: oneDecimal(43 + 2.5 * Math.sin(elapsedMs / 17_000)),
    strokes: Math.floor(elapsedMs / CYCLE_MS),
    running: phase !== "idle",
    phase,
  };
}

function phaseAt(inCycleMs: number): PressState["phase"] {
  if (inCycleMs >= IDLE_FROM_MS) {
    return "idle";
  }
  if (inCycleMs >= PRESSING.toMs) {
    return "opening";
  }
  return inCycleMs >= PRESSING.fromMs ? "pressing" : "closing";
}

function oneDecimal(value: number): number {
  return Math.round(value * 10) / 10;
}
