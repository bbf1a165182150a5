import { describe, expect, test } from "bun:test";
import type { Faults } from "../../src/demo/thingsboard/faults.ts";
import { telemetry, UplinkRig } from "../support/uplink-rig.ts";

const TS = 1_700_000_000_000;
const T = "v1/gateway/telemetry";
const DEVICES = 4;
/** Values of each device before, during and after the fault. */
const ROUND = 10;
/** How many times as fast the gateway's clock runs. */
const SPEED = 40;
/** No silence longer than this after the fault has ended; a minute where the credentials seemed to be wrong. */
const RESUME_MS = 30_000;

function range(count: number): number[] {
  return Array.from({ length: count }, (_none, index) => index);
}

/** What goes wrong, and how to see that it has. */
interface Fault {
  readonly begin: (faults: Faults, rig: UplinkRig) => void;
  /** Holds once the fault has had its effect. */
  readonly seen: (rig: UplinkRig) => boolean;
  readonly resumeMs?: number;
  /** MQTT 3.1.1, which tells no reasons. */
  readonly v3?: boolean;
}

/** Numbered values before, during and after a fault: each arrives, in the order of first arrival, and soon after its end. */
async function survives(fault: Fault): Promise<void> {
  await using rig = await UplinkRig.open({ speed: SPEED, idle: true });
  const { faults } = rig.server;
  if (fault.v3 === true) {
    faults.refuseConnect(0x84, 1);
  }
  rig.start();
  const put = async (round: number): Promise<void> => {
    for (const n of range(ROUND)) {
      const seq = round * ROUND + n;
      await rig.put(range(DEVICES).map((device) => telemetry(`D${device}`, TS + seq, seq)));
    }
  };
  await put(0);
  await rig.emptied();
  fault.begin(faults, rig);
  await put(1);
  await rig.until("the fault shows", () => fault.seen(rig), 20_000);
  faults.clear();
  const endMs = performance.now();
  const before = rig.server.counters().values;
  await put(2);
  await rig.until("data flows", () => rig.server.counters().values > before, 20_000);
  expect((performance.now() - endMs) * SPEED).toBeLessThan(fault.resumeMs ?? RESUME_MS);
  await rig.emptied(20_000);
  for (const device of range(DEVICES)) {
    const arrived = rig.server.series(`D${device}`, "n").map((point) => Number(point.text));
    expect([...new Set(arrived)]).toEqual(range(3 * ROUND));
  }
  expect(rig.store.stats().ledger).toMatchObject({
    acknowledged: 3 * ROUND * DEVICES,
    quarantined: 0,
    dropped: {},
  });
}

function connects(count: number): (rig: UplinkRig) => boolean {
  return (rig) => rig.server.counters().connections >= count;
}

describe("CONNACK with a refusal, then a healthy server", () => {
  for (const code of [0x80, 0x82, 0x84, 0x88, 0x89, 0x8b, 0x90, 0x97, 0x9c, 0x9d, 0x9f]) {
    test(`0x${code.toString(16)}: nothing is lost`, async () => {
      await survives({
        begin: (faults, rig) => {
          faults.refuseConnect(code);
          rig.server.kick("GW", 0x8b);
        },
        seen: connects(4),
      });
    }, 30_000);
  }

  for (const code of [0x85, 0x86, 0x87, 0x8a]) {
    test(`0x${code.toString(16)} is about the credentials: nothing is lost, tried once a minute`, async () => {
      await survives({
        begin: (faults, rig) => {
          faults.refuseConnect(code);
          rig.server.kick("GW", 0x8b);
        },
        seen: (rig) => rig.session.state.link === "refused",
        resumeMs: 62_000,
      });
    }, 30_000);
  }
});

describe("PUBACKs that are missing, late, out of order or refusing", () => {
  test("accepted and never acknowledged: nothing is lost", async () => {
    await survives({
      begin: (faults) => faults.publish({ action: "drop" }, { topic: T }),
      seen: (rig) => rig.sender.stats().resends >= 2,
    });
  }, 30_000);

  test("acknowledged after 20 s: nothing is lost, and the link is kept", async () => {
    await survives({
      begin: (faults) => faults.publish({ action: "delay", ms: 20_000 / SPEED }, { topic: T }),
      seen: (rig) => rig.store.stats().ledger.acknowledged > ROUND * DEVICES,
    });
  }, 30_000);

  test("reordered and duplicated: nothing is lost or counted twice", async () => {
    await survives({
      begin: (faults) => {
        faults.publish({ action: "duplicate" }, { topic: T });
        faults.reorderPubacks(3);
      },
      seen: (rig) => rig.sender.stats().publishes >= 4,
    });
  }, 30_000);

  // All that MQTT 5 §3.4.2.1 has.
  for (const code of [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]) {
    test(`0x${code.toString(16)} for a while: nothing is lost`, async () => {
      // What counts as a verdict on a record is given once only: a server that gives it always would mean it.
      const isVerdict = [0x83, 0x90, 0x99].includes(code);
      await survives({
        begin: (faults) =>
          faults.publish({ action: "refuse", code }, { topic: T, times: isVerdict ? 1 : 6 }),
        seen: (rig) => rig.sender.stats().refusals >= (isVerdict ? 0 : 4),
      });
    }, 30_000);
  }
});

describe("connections that end or hang", () => {
  test("half-open: the server stops reading, nothing is lost", async () => {
    await survives({
      begin: (faults) => faults.reading.close(),
      seen: (rig) => !rig.session.isOpen,
    });
  }, 30_000);

  for (const v3 of [false, true]) {
    const version = v3 ? "3.1.1" : "5";
    test(`closed after every third publish under MQTT ${version}: nothing is lost`, async () => {
      await survives({
        begin: (faults) => faults.closeAfter({ publishes: 3, times: 5 }),
        seen: connects(4),
        v3,
      });
    }, 30_000);

    test(`cut again and again under MQTT ${version}: nothing is lost`, async () => {
      let cuts = 0;
      await survives({
        begin: () => undefined,
        seen: (rig) => {
          // As soon as it is up it is cut.
          if (rig.session.isOpen) {
            cuts += 1;
            rig.server.kick("GW", 0);
          }
          return cuts >= 6;
        },
        v3,
      });
    }, 30_000);
  }

  test("refused at the TCP level: nothing is lost", async () => {
    await survives({
      begin: (faults, rig) => {
        faults.refuseTcp = true;
        rig.server.kick("GW", 0);
      },
      seen: (rig) => rig.session.state.link === "down",
    });
  }, 30_000);
});
