import { describe, expect, test } from "bun:test";
import { Slots } from "../../../src/service/slots.ts";
import { rejection } from "../../support/rejection.ts";

const never = new AbortController().signal;

describe("Slots", () => {
  test("a place that is given back goes to the one who has waited longest", async () => {
    const slots = new Slots(1);
    const order: string[] = [];
    const first = await slots.take(never);
    const second = slots.take(never).then((place) => {
      order.push("second");
      return place;
    });
    const third = slots.take(never).then((place) => {
      order.push("third");
      return place;
    });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    await third;
    expect(order).toEqual(["second", "third"]);
  });

  test("who stops waiting is passed over", async () => {
    const slots = new Slots(1);
    const first = await slots.take(never);
    const stop = new AbortController();
    const impatient = rejection(slots.take(stop.signal));
    const patient = slots.take(never);
    stop.abort(new Error("enough"));
    expect((await impatient).message).toBe("enough");
    first[Symbol.dispose]();
    await patient;
  });
});
