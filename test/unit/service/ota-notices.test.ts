import { describe, expect, test } from "bun:test";
import { Float, type Values } from "../../../src/sdk/model.ts";
import { unsentError } from "../../../src/sdk/unsent.ts";
import { OtaNotices } from "../../../src/service/ota-notices.ts";
import type { SharedListener } from "../../../src/service/own-attributes.ts";
import { VERSION } from "../../../src/version.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memoryLog } from "../../support/memory-log.ts";

function rig() {
  const listeners = new Set<SharedListener>();
  const asked: unknown[] = [];
  const sent: unknown[] = [];
  const state = { fails: false };
  const log = memoryLog();
  const notices = new OtaNotices({
    own: {
      onShared: (listener, keys) => {
        listeners.add(listener);
        asked.push(keys);
        return { [Symbol.dispose]: () => listeners.delete(listener) };
      },
    },
    publisher: {
      publish: async (topic, payload) => {
        if (state.fails) {
          throw unsentError("away");
        }
        sent.push([topic, await Promise.resolve(JSON.parse(payload))]);
      },
    },
    log: log.log,
  });
  const push = async (values: Values): Promise<void> => {
    for (const listener of listeners) {
      listener(values, []);
    }
    await new FakeClock().advance(0);
  };
  return { notices, push, sent, asked, log, state, listeners };
}

describe("OtaNotices", () => {
  test("answers a package with FAILED and what to do, once for each version", async () => {
    const { push, sent, asked, log } = rig();
    expect(asked).toEqual([["fw_title", "fw_version", "sw_title", "sw_version"]]);
    await push({ fw_title: "Gateway", fw_version: "9.9", fw_size: 5 });
    await push({ fw_title: "Gateway", fw_version: "9.9" });
    expect(sent).toHaveLength(1);
    expect(sent[0]).toEqual([
      "v1/devices/me/telemetry",
      {
        current_fw_title: "tbgw",
        current_fw_version: VERSION,
        fw_state: "FAILED",
        fw_error: expect.stringContaining("copy the new file"),
      },
    ]);
    await push({ fw_version: new Float(7.1, "7.10") });
    await push({ fw_version: new Float(7.1, "7.10") });
    expect(sent).toHaveLength(2);
    expect(JSON.stringify(sent[1])).toContain('\\"Gateway\\" 7.10 by itself');
    expect(log.messages("warn")).toHaveLength(2);
  });

  test("says UPDATED when the assigned version is the one that runs", async () => {
    const { push, sent } = rig();
    await push({ sw_title: "tbgw", sw_version: VERSION });
    expect(sent).toEqual([
      [
        "v1/devices/me/telemetry",
        { current_sw_title: "tbgw", current_sw_version: VERSION, sw_state: "UPDATED" },
      ],
    ]);
  });

  test("other attributes, and half of a package, are left alone", async () => {
    const { push, sent } = rig();
    await push({ RemoteLoggingLevel: "DEBUG" });
    await push({ fw_title: "Gateway" });
    expect(sent).toEqual([]);
  });

  test("an answer that was not sent is given when the attributes come again", async () => {
    const { push, sent, state, notices, listeners } = rig();
    state.fails = true;
    await push({ fw_title: "Gateway", fw_version: "9.9" });
    state.fails = false;
    await push({ fw_title: "Gateway", fw_version: "9.9" });
    expect(sent).toHaveLength(1);
    notices[Symbol.dispose]();
    expect(listeners.size).toBe(0);
  });
});
