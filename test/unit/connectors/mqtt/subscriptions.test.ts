import { describe, expect, test } from "bun:test";
import { planSubscriptions, type Wanted } from "../../../../connectors/mqtt/subscriptions.ts";

const MQTT_5 = { wildcards: true, sharedSubscriptions: true, subscriptionIdentifiers: true };
const MQTT_3 = { ...MQTT_5, subscriptionIdentifiers: false };

const wanted = (...filters: readonly string[]): readonly Wanted[] =>
  filters.map((filter) => ({ filter, qos: 1 }));

const sent = (plan: ReturnType<typeof planSubscriptions>): readonly (readonly string[])[] =>
  plan.packets.map(({ filters }) => filters.map(({ filter }) => filter));

describe("planSubscriptions()", () => {
  test("needs no identifier while no two filters overlap", () => {
    const plan = planSubscriptions(wanted("a/+", "b/+", "c/#", "a/+"), MQTT_5);
    expect(sent(plan)).toEqual([["a/+", "b/+", "c/#"]]);
    expect(plan.packets[0]?.identifier).toBeUndefined();
    expect(plan.identifiers.size).toBe(0);
  });

  test("gives filters that overlap identifiers of their own, in as few packets as it finds", () => {
    const plan = planSubscriptions(wanted("a/#", "b/#", "a/x", "b/x", "$share/g/a/x"), MQTT_5);
    expect(sent(plan)).toEqual([["a/#", "b/#"], ["a/x", "b/x"], ["$share/g/a/x"]]);
    const ids = plan.packets.map(({ identifier }) => identifier);
    expect(new Set(ids).size).toBe(3);
    expect(ids.every((id) => id !== undefined && id >= 1 && id <= 268_435_455)).toBe(true);
    expect(plan.identifiers.get("b/x")).toBe(ids[1] ?? 0);
  });

  test("gives the same filters the same identifiers at each start, other filters others", () => {
    const ids = (...filters: readonly string[]): unknown[] =>
      planSubscriptions(wanted(...filters), MQTT_5).packets.map(({ identifier }) => identifier);
    expect(ids("a/#", "a/x")).toEqual(ids("a/#", "a/x"));
    expect(ids("a/#", "a/x")).not.toEqual(ids("a/#", "a/y"));
  });

  test("without identifiers leaves out what is covered, with the highest QoS of all", () => {
    const plan = planSubscriptions(
      [
        { filter: "a/x", qos: 2 },
        { filter: "a/#", qos: 0 },
        { filter: "+/x", qos: 1 },
        { filter: "$share/g/a/x", qos: 1 },
      ],
      MQTT_3,
    );
    expect(plan.packets).toEqual([
      {
        identifier: undefined,
        filters: [
          { filter: "a/#", qos: 2 },
          { filter: "+/x", qos: 2 },
          { filter: "$share/g/a/x", qos: 1 },
        ],
      },
    ]);
  });

  test("leaves out what is refused, and then what it covered comes back", () => {
    expect(sent(planSubscriptions(wanted("#", "a"), MQTT_3, new Set(["#"])))).toEqual([["a"]]);
  });

  test("tells what the broker cannot do", () => {
    const limits = { wildcards: false, sharedSubscriptions: false, subscriptionIdentifiers: true };
    const plan = planSubscriptions(wanted("a", "b/+", "$share/g/a", "c+d"), limits);
    expect(sent(plan)).toEqual([["a", "c+d"]]);
    expect(plan.impossible.map(({ filter }) => filter)).toEqual(["b/+", "$share/g/a"]);
  });
});
