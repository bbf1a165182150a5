import { describe, expect, test } from "bun:test";
import { Float, type Json, type ReportStrategy } from "../../../src/sdk/model.ts";
import { ReportRig } from "../../support/report-rig.ts";

const PERIOD = { type: "ON_REPORT_PERIOD", reportPeriod: 1000 } as const;
const BOTH = { type: "ON_CHANGE_OR_REPORT_PERIOD", reportPeriod: 1000 } as const;
const CHANGE = { type: "ON_CHANGE" } as const;
const RECEIVED = { type: "ON_RECEIVED" } as const;
const DISABLED = { type: "DISABLED" } as const;

/** Samples `[at, value]`, and what is stored: `[at, ts, value]`. */
interface Case {
  readonly name: string;
  readonly strategy: ReportStrategy;
  readonly samples: readonly (readonly [number, Json])[];
  readonly stored: readonly (readonly [number, number, unknown])[];
  readonly filtered?: Readonly<Record<string, number>>;
}

const cases: readonly Case[] = [
  {
    name: "ON_RECEIVED sends each one",
    strategy: RECEIVED,
    samples: [
      [0, 1],
      [300, 1],
      [600, 2],
    ],
    stored: [
      [0, 0, 1],
      [300, 300, 1],
      [600, 600, 2],
    ],
  },
  {
    name: "DISABLED below the gateway sends each one",
    strategy: DISABLED,
    samples: [
      [0, 1],
      [300, 1],
      [600, 2],
    ],
    stored: [
      [0, 0, 1],
      [300, 300, 1],
      [600, 600, 2],
    ],
  },
  {
    name: "ON_CHANGE leaves equal ones out",
    strategy: CHANGE,
    samples: [
      [0, 1],
      [300, 1],
      [600, 2],
      [900, 2],
      [1200, 1],
    ],
    stored: [
      [0, 0, 1],
      [600, 600, 2],
      [1200, 1200, 1],
    ],
    filtered: { "on-change": 2 },
  },
  {
    name: "ON_REPORT_PERIOD sends the first, then the newest with its own time",
    strategy: PERIOD,
    samples: [
      [0, 1],
      [300, 2],
      [700, 3],
      [1200, 3],
    ],
    stored: [
      [0, 0, 1],
      [1000, 700, 3],
      [2000, 1200, 3],
    ],
    filtered: { "report-period": 1 },
  },
  {
    name: "ON_CHANGE_OR_REPORT_PERIOD sends changes at once, equal ones at the end of the period",
    strategy: BOTH,
    samples: [
      [0, 1],
      [500, 2],
      [600, 2],
      [800, 2],
      [1500, 2],
    ],
    stored: [
      [0, 0, 1],
      [500, 500, 2],
      [1000, 800, 2],
      [2000, 1500, 2],
    ],
    filtered: { "report-period": 1 },
  },
  {
    name: "a change does not begin the period anew, and takes the place of what waits",
    strategy: BOTH,
    samples: [
      [0, 1],
      [400, 1],
      [900, 2],
      [950, 2],
    ],
    stored: [
      [0, 0, 1],
      [900, 900, 2],
      [1000, 950, 2],
    ],
    filtered: { "report-period": 1 },
  },
  {
    name: "a period without a sample sends nothing, and the next one keeps to the grid",
    strategy: PERIOD,
    samples: [
      [0, 1],
      [300, 2],
      [4100, 2],
    ],
    stored: [
      [0, 0, 1],
      [1000, 300, 2],
      [5000, 4100, 2],
    ],
  },
  {
    name: "what was sent as a change is not sent again at the end of the period",
    strategy: BOTH,
    samples: [
      [0, 1],
      [999, 2],
    ],
    stored: [
      [0, 0, 1],
      [999, 999, 2],
    ],
  },
];

describe("Uplink.accept() by strategy", () => {
  for (const { name, strategy, samples, stored, filtered = {} } of cases) {
    test(name, async () => {
      const rig = new ReportRig({ gateway: strategy.type === "DISABLED" ? {} : strategy });
      await rig.play(samples, 6500, strategy.type === "DISABLED" ? { strategy } : {});
      expect(rig.reports).toEqual(stored);
      expect(rig.sink.filtered).toEqual(filtered);
      expect(rig.sink.received).toBe(samples.length);
    });
  }

  test("says what became of a call of which nothing is sent", async () => {
    const rig = new ReportRig();
    const mixed = { keyStrategies: { a: CHANGE, b: PERIOD } };
    expect(await rig.telemetry({ a: 1, b: 1 }, mixed)).toEqual({ status: "stored" });
    expect(await rig.telemetry({ a: 1 }, mixed)).toEqual({
      status: "filtered",
      reason: "on-change",
    });
    expect(await rig.telemetry({ a: 1, b: 1 }, mixed)).toEqual({
      status: "filtered",
      reason: "report-period",
    });
    expect(await rig.telemetry({ a: 2, b: 1 }, mixed)).toEqual({ status: "stored" });
    expect(
      rig.uplink().tryAccept({ deviceName: "d", telemetry: [{ values: { a: 2 } }], ...mixed }),
    ).toEqual({ status: "filtered" });
  });

  test("a value without a JSON form is rejected, whatever the strategy, and changes nothing", async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    await rig.telemetry({ k: 1 });
    await rig.telemetry({ k: Number.NaN, other: 1 });
    expect(await rig.telemetry({ k: 1 })).toMatchObject({ status: "filtered" });
    await expect(rig.telemetry({ k: Number.POSITIVE_INFINITY })).rejects.toThrow("can be sent");
    expect(rig.sink.rejected).toEqual({ "bad-value": 2 });
    expect(rig.sink.received).toBe(5);
  });

  test("a refused call leaves nothing behind", async () => {
    const rig = new ReportRig({ gateway: PERIOD });
    await rig.telemetry({ k: 1 });
    const good = { deviceName: "d", telemetry: [{ values: { k: 2 } }] };
    const { signal } = new AbortController();
    await expect(rig.uplink().accept([good, { deviceName: "" }], signal)).rejects.toThrow("name");
    await rig.until(5000);
    expect(rig.reports).toEqual([[0, 0, 1]]);
  });
});

describe("equality", () => {
  const same = (left: Json, right: Json) => async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    await rig.telemetry({ k: left });
    return (await rig.telemetry({ k: right })).status === "filtered";
  };
  const table: readonly (readonly [string, Json, Json, boolean])[] = [
    ["1 and 1.0", 1, new Float(1), true],
    ["1n and 1", 1n, 1, true],
    ["1n and 1.0", 1n, new Float(1), true],
    ["1.0 and 1.0004", new Float(1), new Float(1.0004), false],
    ["0.1 + 0.2 and 0.3", 0.1 + 0.2, 0.3, false],
    ["2^53 and 2^53 + 1", new Float(2 ** 53), 2n ** 53n + 1n, false],
    ["2^53 as double and as integer", new Float(2 ** 53), 2n ** 53n, true],
    ["true and 1", true, 1, false],
    ["true and true", true, true, true],
    ['"1" and 1', "1", 1, false],
    ['"[1]" and [1]', "[1]", [1], false],
    ["texts", "a", "a", true],
    ["objects", { a: [1, { b: "c" }] }, { a: [1, { b: "c" }] }, true],
    ["other objects", { a: [1, { b: "c" }] }, { a: [1, { b: "d" }] }, false],
    ["0 and -0", 0, -0, true],
  ];
  for (const [name, left, right, isEqual] of table) {
    test(`${name} are ${isEqual ? "the same" : "different"}`, async () => {
      expect(await same(left, right)()).toBe(isEqual);
      expect(await same(right, left)()).toBe(isEqual);
    });
  }

  test("telemetry and attributes of one name, devices and connectors know nothing of each other", async () => {
    const rig = new ReportRig({ gateway: CHANGE });
    const { signal } = new AbortController();
    const sent = [
      await rig.telemetry({ k: 1 }),
      await rig.attributes({ k: 1 }),
      await rig.telemetry({ k: 1 }, { deviceName: "e" }),
      await rig.uplink("other").accept({ deviceName: "d", attributes: { k: 1 } }, signal),
    ];
    expect(sent.map(({ status }) => status)).toEqual(["stored", "stored", "stored", "stored"]);
    expect((await rig.attributes({ k: 1 })).status).toBe("filtered");
  });

  test("keys named like members of Object are keys like others", async () => {
    const rig = new ReportRig();
    const values = JSON.parse('{"__proto__":1,"constructor":2,"hasOwnProperty":3}') as {
      [key: string]: Json;
    };
    const keyStrategies = JSON.parse('{"__proto__":{"type":"ON_CHANGE"}}') as {
      [key: string]: ReportStrategy;
    };
    await rig.telemetry(values, { keyStrategies });
    await rig.telemetry(values, { keyStrategies });
    expect(rig.sink.stored.map(({ key }) => key)).toEqual([
      "__proto__",
      "constructor",
      "hasOwnProperty",
      "constructor",
      "hasOwnProperty",
    ]);
  });
});

describe("precedence", () => {
  /** Whether the second of two equal values is sent. */
  const repeats = async (levels: {
    readonly gateway?: ReportStrategy;
    readonly connector?: ReportStrategy;
    readonly device?: ReportStrategy;
    readonly key?: ReportStrategy;
  }): Promise<boolean> => {
    const { gateway, connector, device, key } = levels;
    const rig = new ReportRig({
      ...(gateway === undefined ? {} : { gateway }),
      ...(connector === undefined ? {} : { connector }),
    });
    const more = {
      ...(device === undefined ? {} : { strategy: device }),
      ...(key === undefined ? {} : { keyStrategies: { k: key } }),
    };
    await rig.telemetry({ k: 1 }, more);
    return (await rig.telemetry({ k: 1 }, more)).status === "stored";
  };

  const levels = ["gateway", "connector", "device", "key"] as const;
  for (const [index, level] of levels.entries()) {
    test(`a strategy of the ${level} applies, and goes before those above it`, async () => {
      const above = Object.fromEntries(levels.slice(0, index).map((name) => [name, RECEIVED]));
      expect(await repeats({ ...above, [level]: CHANGE })).toBe(false);
      const changing = Object.fromEntries(levels.slice(0, index).map((name) => [name, CHANGE]));
      expect(await repeats({ ...changing, [level]: RECEIVED })).toBe(true);
      if (level !== "gateway") {
        expect(await repeats({ ...changing, [level]: DISABLED })).toBe(true);
      }
    });
  }

  test("none anywhere is ON_RECEIVED", async () => {
    expect(await repeats({})).toBe(true);
  });

  test("DISABLED at the gateway switches all others off", async () => {
    const others = { connector: CHANGE, device: CHANGE, key: CHANGE };
    expect(await repeats({ gateway: DISABLED, ...others })).toBe(true);
  });

  test("what a level leaves open is taken from the one above it", async () => {
    const rig = new ReportRig({ gateway: { type: "ON_CHANGE", reportPeriod: 3000 } });
    const more = {
      strategy: { reportPeriod: 2000 },
      keyStrategies: { p: { type: "ON_REPORT_PERIOD" } },
    } as const;
    await rig.telemetry({ k: 1, p: 1 }, more);
    await rig.telemetry({ k: 1, p: 2 }, more);
    await rig.until(2000);
    expect(rig.sink.stored.map(({ atMs, key }) => [atMs, key])).toEqual([
      [0, "k"],
      [0, "p"],
      [2000, "p"],
    ]);
  });

  test("a strategy that an extension sets wrong counts as not set", async () => {
    const wrong = { type: "SOMETIMES", reportPeriod: Number.NaN } as unknown as ReportStrategy;
    expect(await repeats({ gateway: CHANGE, device: wrong })).toBe(false);
  });

  test("samples of one key by turns under two strategies: each is judged by its own", async () => {
    const rig = new ReportRig();
    for (let ms = 0; ms < 1000; ms += 200) {
      await rig.until(ms);
      await rig.telemetry({ k: ms }, { strategy: PERIOD });
      await rig.telemetry({ k: 5000 + ms }, { strategy: CHANGE });
    }
    await rig.until(1000);
    // The last sample was sent as a change: nothing newer waits.
    expect(rig.reports.map(([at, , value]) => [at, value])).toEqual([
      [0, 0],
      [0, 5000],
      [200, 5200],
      [400, 5400],
      [600, 5600],
      [800, 5800],
    ]);
    expect(rig.sink.received).toBe(10);
  });
});
