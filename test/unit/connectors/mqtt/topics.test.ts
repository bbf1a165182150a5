import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  filterCovers,
  filterProblem,
  filtersOverlap,
  splitShare,
  TopicRouter,
} from "../../../../connectors/mqtt/topics.ts";
import { runs } from "../../../support/property-runs.ts";

/** MQTT 5 §4.7 word by word, level by level. */
function matches(filter: string, topic: string): boolean {
  const wanted = splitShare(filter).filter.split("/");
  const levels = topic.split("/");
  if (topic.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) {
    return false;
  }
  for (const [index, level] of wanted.entries()) {
    if (level === "#") {
      return true;
    }
    if (index >= levels.length || (level !== "+" && level !== levels[index])) {
      return false;
    }
  }
  return wanted.length === levels.length;
}

const level = fc.constantFrom("a", "b", "", "$x");
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 4 }), fc.boolean())
  .map(([levels, deep]) => (deep ? [...levels, "#"] : levels).join("/"))
  .filter((filter) => filter !== "");

describe("filterProblem()", () => {
  test.each([
    "a",
    "/",
    "a//b",
    "+",
    "#",
    "+/+/#",
    "$SYS/#",
    "$share/g/a/+",
    "$queue/a",
    "ä/ö",
    "a b",
  ])("takes %p", (filter) => {
    expect(filterProblem(filter)).toBeUndefined();
  });

  test.each([
    ["", "must not be empty"],
    ["a#", "whole last level"],
    ["#/a", "whole last level"],
    ["a/#/b", "whole last level"],
    ["a/b+", "whole level"],
    ["a\u0000", "NUL"],
    ["$share/g", "after the group"],
    ["$share/g/", "after the group"],
    ["$share//a", "group name"],
    ["$share/+/a", "group name"],
    ["$share/g/a#", "whole last level"],
    ["x".repeat(65_536), "65535 bytes"],
  ])("refuses %p: %s", (filter, text) => {
    expect(filterProblem(filter)).toContain(text);
  });
});

describe("TopicRouter", () => {
  test("finds what MQTT 5 §4.7 finds, for 100,000 random filters and topics", () => {
    let pairs = 0;
    fc.assert(
      fc.property(
        fc.array(filters, { maxLength: 8 }),
        fc.array(topics, { maxLength: 8 }),
        (list, names) => {
          const router = new TopicRouter<number>();
          for (const [index, filter] of list.entries()) {
            router.add(filter, index);
          }
          for (const topic of [...names, ...names]) {
            const expected = [...list.keys()].filter((index) => matches(list[index] ?? "", topic));
            expect(router.match(topic)).toEqual(expected);
          }
          pairs += list.length * names.length;
        },
      ),
      { numRuns: runs(10_000) },
    );
    expect(pairs).toBeGreaterThan(100_000);
  });

  test("keeps several values of one filter, in their order, and sees what is added later", () => {
    const router = new TopicRouter<string>();
    router.add("a/+", "first");
    router.add("#", "second");
    expect(router.match("a/b")).toEqual(["first", "second"]);
    router.add("a/+", "third");
    expect(router.match("a/b")).toEqual(["first", "second", "third"]);
  });

  test("remembers 10,000 topics and no more", () => {
    const router = new TopicRouter<string>();
    router.add("+", "value");
    const once = router.match("0");
    expect(router.match("0")).toBe(once);
    for (let index = 1; index <= 10_000; index += 1) {
      router.match(String(index));
    }
    expect(router.match("0")).not.toBe(once);
    expect(router.match("0")).toEqual(once);
  });
});

describe("filtersOverlap() and filterCovers()", () => {
  test("say what the topics themselves say", () => {
    fc.assert(
      fc.property(
        filters,
        filters,
        fc.array(topics, { minLength: 20, maxLength: 40 }),
        (left, right, names) => {
          const both = names.some((topic) => matches(left, topic) && matches(right, topic));
          const onlyRight = names.some((topic) => !matches(left, topic) && matches(right, topic));
          if (both) {
            expect(filtersOverlap(left, right)).toBe(true);
            expect(filtersOverlap(right, left)).toBe(true);
          }
          if (onlyRight) {
            expect(filterCovers(left, right)).toBe(false);
          }
        },
      ),
    );
  });

  test.each([
    ["a/#", "a", true, true],
    ["a/#", "a/+/b", true, true],
    ["a/+", "a/#", true, false],
    ["a/+", "+/b", true, false],
    ["a/b", "a/c", false, false],
    ["a/+", "a", false, false],
    ["#", "$SYS/x", false, false],
    ["+/x", "$SYS/x", false, false],
    ["$SYS/#", "$SYS/x", true, true],
    ["a", "a", true, true],
    ["$share/g/a", "a", true, false],
    ["#", "$share/g/a", true, false],
  ])("%p and %p: overlap %p, cover %p", (left, right, overlap, covers) => {
    expect(filtersOverlap(left, right)).toBe(overlap);
    expect(filtersOverlap(right, left)).toBe(overlap);
    expect(filterCovers(left, right)).toBe(covers);
  });
});
