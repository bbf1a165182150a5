import { describe, expect, test } from "bun:test";
import { compileFormat, REMOTE_FORMAT } from "../../../src/logging/python-format.ts";
import { formatTime } from "../../../src/logging/python-time.ts";
import type { LogRecord } from "../../../src/sdk/logger.ts";

const TS = new Date(2023, 10, 14, 9, 13, 20, 7).getTime();
const SERVICE: LogRecord = {
  ts: TS,
  level: "warn",
  source: "service",
  message: "Gateway started",
  fields: { connectors: 2 },
};
const CONVERTER: LogRecord = {
  ...SERVICE,
  level: "info",
  source: "Plant 1",
  channel: "converter",
  connectorType: "modbus",
};

describe("compileFormat", () => {
  test("writes a line of the installed file as the Python gateway does", () => {
    const { render, problems } = compileFormat(
      "%(asctime)s.%(msecs)03d - |%(levelname)s| - [%(filename)s] - %(module)s - %(funcName)s - %(lineno)d - %(message)s",
      "%Y-%m-%d %H:%M:%S",
    );
    expect(problems).toEqual([]);
    expect(render(SERVICE)).toBe(
      "2023-11-14 09:13:20.007 - |WARNING| - [service] - service - log - 0 - Gateway started connectors=2",
    );
  });

  test("shows the level between bars and the converter in the bracket, for the dashboard", () => {
    expect(compileFormat(REMOTE_FORMAT, undefined).render(CONVERTER)).toBe(
      "2023-11-14 09:13:20,007 - |INFO|<main> [modbus_converter.py] - modbus_converter log - 0 - Gateway started connectors=2",
    );
  });

  test("pads, escapes, and names the loggers", () => {
    const { render } = compileFormat("%(levelname)-8s|%(name)12s|%(levelno)03d|100%%", undefined);
    expect(render(SERVICE)).toBe("WARNING |     service|030|100%");
    expect(render(CONVERTER)).toBe("INFO    |Plant 1_converter|020|100%");
    expect(
      compileFormat("%(threadName)s", undefined).render({ ...SERVICE, source: "storage" }),
    ).toBe("delivery");
  });

  test("keeps what it does not know and says so", () => {
    const { render, problems } = compileFormat("%(colour)s %(message)s", undefined);
    expect(render(SERVICE)).toStartWith("%(colour)s Gateway");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith('there is no "%(colour)"');
  });

  test("one line stays one line, whatever a field holds", () => {
    const line = compileFormat("%(message)s", undefined).render({
      ...SERVICE,
      fields: { error: "first\nsecond" },
    });
    expect(line).toBe('Gateway started error="first\\nsecond"');
  });
});

test("formatTime() knows the directives of strftime", () => {
  expect(formatTime("%d.%m.%y %I:%M %p %a %b %j %f %F %T %%", TS)).toBe(
    "14.11.23 09:13 AM Tue Nov 318 007000 2023-11-14 09:13:20 %",
  );
  expect(formatTime("%Q", TS)).toBe("%Q");
});
