import { describe, expect, test } from "bun:test";
import { Observation } from "../../../src/service/observation.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("Observation", () => {
  test("counts requests and attributes of the platform, not its other answers", () => {
    const observation = new Observation(new FakeClock());
    const counted = [
      "v1/gateway/rpc",
      "v1/gateway/attributes",
      "v1/gateway/attributes/response",
      "v1/devices/me/rpc/request/17",
      "v1/devices/me/attributes",
      "v1/devices/me/attributes/response/3",
    ];
    for (const topic of [...counted, "v1/devices/me/rpc/response/4", "v2/fw/response/1/chunk/0"]) {
      observation.downlink(topic);
    }
    expect(observation.messagesFromPlatform).toBe(counted.length);
  });
});
