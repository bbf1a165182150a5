import { describe, expect, test } from "bun:test";
import { TransientError } from "../../../src/sdk/errors.ts";
import { Announced } from "../../../src/service/announced.ts";
import { AttributeRequests } from "../../../src/service/attribute-requests.ts";
import { Downlinks } from "../../../src/service/downlinks.ts";
import { PlatformLink } from "../../../src/service/platform-link.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";
import { rejection } from "../../support/rejection.ts";

const RESPONSES = "v1/gateway/attributes/response";
const { signal } = new AbortController();

interface Request {
  readonly id: number;
  readonly device: string;
  readonly client: boolean;
  readonly keys: readonly string[];
}

function setUp(answer: (request: Request) => string | undefined) {
  const clock = new FakeClock();
  const platform = new PlatformLink();
  const announced = new Announced(platform);
  const downlinks = new Downlinks(memoryLog().log);
  const sent: Request[] = [];
  const publish = async (_topic: string, payload: string): Promise<void> => {
    const request: Request = JSON.parse(payload);
    sent.push(request);
    const reply = answer(request);
    if (reply !== undefined) {
      downlinks.receive(RESPONSES, `{"id":${request.id},"device":"A"${reply}}`);
    }
  };
  const devices = {
    platformName: (name: string) => (name === "A" ? "Pump (hall 2)" : name),
    get: (name: string) => (name === "A" ? { connected: true } : undefined),
  };
  const publisher = { publish };
  const deps = { clock, platform, announced, downlinks, devices, publisher };
  const requests = new AttributeRequests(deps);
  platform.update(true);
  announced.add("A");
  return { clock, platform, announced, sent, requests };
}

describe("AttributeRequests", () => {
  test("asks for each scope by name under the platform's name and understands all three forms of the answer", async () => {
    const { sent, requests } = setUp(({ keys }) => {
      const found = keys.includes("fw") ? ',"value":9007199254740993' : ',"values":{"a":1,"b":2.0}';
      return keys.includes("none") ? "" : found;
    });
    const one = await requests.request("A", { shared: ["fw"] }, signal);
    expect(one.shared["fw"]).toBe(9_007_199_254_740_993n);
    const several = await requests.request("A", { client: ["a", "b"], shared: ["none"] }, signal);
    expect(several.client["a"]).toBe(1);
    expect(several.shared).toEqual({});
    expect(sent.map(({ client }) => client)).toEqual([false, true, false]);
    expect(new Set(sent.map(({ device }) => device))).toEqual(new Set(["Pump (hall 2)"]));
    expect(new Set(sent.map(({ id }) => id)).size).toBe(3);
  });

  test("shared(*) learns the names from the answer without names, and asks by them", async () => {
    const { sent, requests } = setUp(({ keys }) => {
      if (keys.length === 0) {
        return ',"value":7,"values":{"connectorName":"Plant","setpoint":20}';
      }
      return ',"values":{"setpoint":21}';
    });
    const options = { known: ["old"], signal };
    expect(await requests.shared("A", "*", options)).toEqual({
      values: { setpoint: 21 },
      asked: ["connectorName", "setpoint", "old"],
    });
    expect(sent.map(({ keys }) => keys)).toEqual([[], ["connectorName", "setpoint", "old"]]);
    expect(await requests.shared("A", ["x"], options)).toMatchObject({ asked: ["x"] });
  });

  test("waits until the device is announced, for devices of ours only", async () => {
    const { clock, announced, platform, sent, requests } = setUp(() => ',"value":1');
    platform.update(false);
    platform.update(true);
    const asked = requests.request("A", { shared: ["fw"] }, signal);
    await clock.advance(1000);
    expect(sent).toEqual([]);
    announced.add("A");
    expect((await asked).shared).toEqual({ fw: 1 });
    expect((await requests.request("B", { shared: ["fw"] }, signal)).shared).toEqual({ fw: 1 });
  });

  test("gives up after 20 s, when the link is lost, and when the caller does", async () => {
    const { clock, platform, requests } = setUp(() => undefined);
    const silent = rejection(requests.request("A", { shared: ["fw"] }, signal));
    await clock.advance(20_000);
    expect(await silent).toBeInstanceOf(TransientError);
    const cut = rejection(requests.request("A", { shared: ["fw"] }, signal));
    await clock.advance(0);
    platform.update(false);
    expect((await cut).message).toContain("link");
    const stop = new AbortController();
    const stopped = rejection(requests.request("B", { shared: ["fw"] }, stop.signal));
    await clock.advance(0);
    stop.abort(new Error("enough"));
    expect((await stopped).message).toBe("enough");
    expect(clock.waiting).toBe(0);
  });
});
