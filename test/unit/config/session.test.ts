import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { gatewayConfig } from "../../../src/config/gateway.ts";
import { security } from "../../../src/config/security.ts";
import { parseHosts, toConnection, toLimits, toRates } from "../../../src/config/session.ts";

function connection(thingsboard: object) {
  const config = v.parse(gatewayConfig, { thingsboard }).thingsboard;
  return toConnection(config, config.security ?? v.parse(security, {}), (file) => `/c/${file}`);
}

describe("parseHosts", () => {
  test.each<[string | readonly string[], readonly string[]]>([
    ["a", ["a 1883"]],
    [" a , b:1884 ,, a", ["a 1883", "b 1884"]],
    [
      ["a", "b,c"],
      ["a 1883", "b 1883", "c 1883"],
    ],
    ["10.0.0.1:8883", ["10.0.0.1 8883"]],
    ["fe80::1", ["fe80::1 1883"]],
    ["[fe80::1]:1884", ["fe80::1 1884"]],
  ])("%j", (host, expected) => {
    const { value, issues } = parseHosts(host, 1883);
    expect(value.map((node) => `${node.host} ${node.port}`)).toEqual([...expected]);
    expect(issues).toEqual([]);
  });

  test("a scheme is left out with a warning", () => {
    const { value, issues } = parseHosts("mqtts://a:8883/", 1883);
    expect(value).toEqual([{ host: "a", port: 8883 }]);
    expect(issues).toMatchObject([{ severity: "warning" }]);
  });

  test("what is no host is an error and the others stay", () => {
    const { value, issues } = parseHosts(["a b", "c:99999", "d"], 1883);
    expect(value).toEqual([{ host: "d", port: 1883 }]);
    expect(issues.map(({ severity }) => severity)).toEqual(["error", "error"]);
  });

  test.each([[undefined], [""], [[]], [" , "]])("%j is a missing host", (host) => {
    expect(parseHosts(host, 1883)).toMatchObject({ value: [], issues: [{ severity: "error" }] });
  });
});

describe("toConnection", () => {
  test("port 8883 switches TLS on, of any node", () => {
    expect(connection({ host: "a" }).value.tls).toBeUndefined();
    expect(connection({ host: "a", port: 8883 }).value.tls).toMatchObject({ insecure: false });
    expect(connection({ host: "a,b:8883" }).value.tls).toBeDefined();
  });

  test("certificate files are located, empty names are none", () => {
    const { value } = connection({
      host: "a",
      security: { caCert: "ca.pem", cert: "", accessToken: "t" },
    });
    expect(value.tls).toEqual({
      caPath: "/c/ca.pem",
      certPath: undefined,
      keyPath: undefined,
      insecure: false,
      expiry: { checkEveryMs: 86_400_000, warnDays: 3 },
    });
  });

  test("a proxy may carry its port in either key, and a scheme", () => {
    const proxy = (thingsboard: object) => connection({ host: "a", ...thingsboard }).value.proxy;
    expect(proxy({})).toBeUndefined();
    expect(proxy({ proxy_host: "p", proxy_port: 8080 })).toEqual({ host: "p", port: 8080 });
    expect(proxy({ proxy_host: "http://p:8081/", proxy_port: 8080 })).toEqual({
      host: "p",
      port: 8081,
    });
    expect(proxy({ proxy_host: "p" })).toEqual({ host: "p", port: 8080 });
  });

  test("8196 means no bound of our own, any other value is the bound", () => {
    expect(connection({ host: "a" }).value.maxPayloadBytes).toBeUndefined();
    expect(connection({ host: "a", maxPayloadSizeBytes: 8196 }).value.maxPayloadBytes).toBe(
      undefined,
    );
    expect(connection({ host: "a", maxPayloadSizeBytes: 4096 }).value.maxPayloadBytes).toBe(4096);
  });

  test.each([
    [
      { security: { insecure: true, accessToken: "t" } },
      "warning",
      "thingsboard.security.insecure",
    ],
    [{ security: { cert: "c", accessToken: "t" } }, "error", "thingsboard.security"],
    [{ security: { type: "tlsAccessToken" } }, "warning", "thingsboard.security"],
    [{ proxy_host: "a b" }, "error", "thingsboard.proxy_host"],
    [{ proxy_host: "https://p" }, "warning", "thingsboard.proxy_host"],
  ])("%j gives one %s at %s", (thingsboard, severity, path) => {
    const issues = connection({ host: "a", ...thingsboard }).issues;
    expect(issues.map((issue) => [issue.severity, issue.path.join(".")])).toEqual([
      [severity, path],
    ]);
  });
});

describe("toLimits", () => {
  test("the named defaults are limits on the public servers and none elsewhere", () => {
    const config = v.parse(gatewayConfig, { thingsboard: { deviceRateLimits: "5:1" } }).thingsboard;
    expect(toLimits(config, [{ host: "eu.thingsboard.cloud" }])).toEqual({
      own: {
        messages: "10:1,60:60,",
        telemetryMessages: "10:1,60:60,",
        telemetryDataPoints: "10:1,300:60,",
      },
      devices: {
        messages: "10:1,60:60,",
        telemetryMessages: "5:1",
        telemetryDataPoints: "10:1,300:60,",
      },
    });
    expect(toLimits(config, [{ host: "tb.example.com" }])).toEqual({
      own: { messages: "", telemetryMessages: "", telemetryDataPoints: "" },
      devices: { messages: "", telemetryMessages: "5:1", telemetryDataPoints: "" },
    });
    expect(toLimits(config, [{ host: "tb.mycloud.org" }]).own.messages).toBe("10:1,60:60,");
  });
});

describe("toRates", () => {
  test("what a person has written stays an upper bound, a named default does not", () => {
    const config = v.parse(gatewayConfig, { thingsboard: { deviceRateLimits: "5:1" } }).thingsboard;
    const rates = toRates(config, [{ host: "eu.thingsboard.cloud" }], 70);
    expect(rates.percentage).toBe(70);
    expect(rates.initial.own.messages).toBe("10:1,60:60,");
    expect(rates.bounds).toEqual({
      own: { messages: "", telemetryMessages: "", telemetryDataPoints: "" },
      devices: { messages: "", telemetryMessages: "5:1", telemetryDataPoints: "" },
    });
  });
});
