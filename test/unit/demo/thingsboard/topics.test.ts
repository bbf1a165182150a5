import { describe, expect, test } from "bun:test";
import { Registry } from "../../../../src/demo/thingsboard/model.ts";
import { matchesFilter, parseDeviceTopic } from "../../../../src/demo/thingsboard/topics.ts";

const profile = new Registry().profile("default");

describe("matchesFilter()", () => {
  test("follows MQTT 5 §4.7", () => {
    expect(matchesFilter("a/b/c", "a/+/c")).toBe(true);
    expect(matchesFilter("a/b", "a/+/c")).toBe(false);
    expect(matchesFilter("a/b/c/d", "a/+/c")).toBe(false);
    expect(matchesFilter("a/b/c", "a/#")).toBe(true);
    expect(matchesFilter("a", "a")).toBe(true);
  });
});

describe("parseDeviceTopic()", () => {
  test("tells the families apart and builds the topic of the reply", () => {
    const replies: Readonly<Record<string, string>> = {
      "v1/devices/me/attributes/request/7": "v1/devices/me/attributes/response/7",
      "v1/devices/me/rpc/request/7": "v1/devices/me/rpc/response/7",
      "v2/a/req/7": "v2/a/res/7",
      "v2/a/req/j/7": "v2/a/res/j/7",
      "v2/r/req/j/7": "v2/r/res/j/7",
    };
    for (const [topic, replyTopic] of Object.entries(replies)) {
      expect(parseDeviceTopic(topic, profile)).toMatchObject({ id: "7", replyTopic });
    }
    expect(parseDeviceTopic("v2/sw/request/a/chunk/3", profile)).toEqual({
      kind: "chunk",
      package: "sw",
      request: "a",
      chunk: 3,
    });
    expect(parseDeviceTopic("v1/devices/me", profile)).toBeUndefined();
  });
});
