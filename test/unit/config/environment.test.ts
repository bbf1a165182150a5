import { describe, expect, test } from "bun:test";
import { applyEnvironment, sourceOf } from "../../../src/config/environment.ts";

function thingsboard(file: object, env: Record<string, string>): unknown {
  const { value } = applyEnvironment({ thingsboard: file }, env);
  return typeof value === "object" && value !== null && "thingsboard" in value
    ? value.thingsboard
    : undefined;
}

describe("applyEnvironment", () => {
  test("leaves the file's value alone without variables", () => {
    const value = { thingsboard: { host: "a" } };
    expect(applyEnvironment(value, { PATH: "/bin" })).toMatchObject({
      value,
      issues: [],
      secrets: [],
      provisioning: false,
      limitPercentage: 80,
    });
  });

  test("a token from a variable keeps the file's TLS settings", () => {
    const security = { type: "tlsAccessToken", accessToken: "A", caCert: "ca.pem" };
    expect(thingsboard({ security }, { TB_GW_ACCESS_TOKEN: "B" })).toEqual({
      security: { type: "tlsAccessToken", accessToken: "B", caCert: "ca.pem" },
    });
  });

  test("another security type drops the file's credentials and keeps its TLS settings", () => {
    const security = { type: "tlsAccessToken", accessToken: "A", caCert: "ca.pem" };
    const env = { TB_GW_SECURITY_TYPE: "usernamePassword", TB_GW_USERNAME: "u" };
    expect(thingsboard({ security }, env)).toEqual({
      security: { type: "usernamePassword", username: "u", caCert: "ca.pem" },
    });
  });

  test("the same security type keeps the file's credentials", () => {
    const security = { type: "accessToken", accessToken: "A" };
    expect(thingsboard({ security }, { TB_GW_SECURITY_TYPE: "accessToken" })).toEqual({ security });
  });

  test("does not change the value it was given", () => {
    const value = { thingsboard: { host: "a", security: { accessToken: "A" } } };
    applyEnvironment(value, { TB_GW_HOST: "b", TB_GW_ACCESS_TOKEN: "B" });
    expect(value).toEqual({ thingsboard: { host: "a", security: { accessToken: "A" } } });
  });

  test("ports become numbers, a port that is none is an error and the file's counts", () => {
    expect(thingsboard({}, { TB_GW_PORT: "8883" })).toEqual({ port: 8883 });
    const { value, issues } = applyEnvironment({ thingsboard: { port: 1 } }, { TB_GW_PORT: "x" });
    expect(value).toEqual({ thingsboard: { port: 1 } });
    expect(issues).toMatchObject([{ severity: "error", file: "environment", path: "TB_GW_PORT" }]);
  });

  test("TB_GW_ names go before bare names, which give a warning", () => {
    expect(thingsboard({}, { TB_GW_HOST: "a", host: "b" })).toEqual({ host: "a" });
    const { issues } = applyEnvironment({}, { host: "b" });
    expect(issues).toMatchObject([{ severity: "warning", path: "host" }]);
  });

  test("a bare name that cannot be meant for us is passed over", () => {
    expect(applyEnvironment({}, { type: "xterm", port: "tcp" })).toMatchObject({
      value: {},
      issues: [],
    });
  });

  test("a limit of its own goes before the one for several", () => {
    const env = { TB_GW_DEVICE_RATE_LIMITS: "2:1", TB_GW_RATE_LIMITS: "1:1" };
    expect(thingsboard({}, env)).toEqual({
      rateLimits: "1:1",
      messagesRateLimits: "1:1",
      deviceMessagesRateLimits: "1:1",
      deviceRateLimits: "2:1",
    });
  });

  test.each([
    [{ ACCESS_TOKEN: "t", USERNAME: "u" }, "ACCESS_TOKEN"],
    [{ USERNAME: "u", CA_CERT_FILENAME: "ca" }, "MQTT_BASIC"],
    [{ CA_CERT_FILENAME: "ca" }, "X509_CERTIFICATE"],
    [{}, "ACCESS_TOKEN"],
  ])("provisioning variables %j ask for %s", (more, type) => {
    const names = { KEY: "k", SECRET: "s", ...more };
    const env = Object.fromEntries(
      Object.entries(names).map(([name, text]) => [`TB_GW_PROVISIONING_DEVICE_${name}`, text]),
    );
    const overrides = applyEnvironment({ thingsboard: { security: {} } }, env);
    expect(overrides.provisioning).toBe(true);
    expect(overrides.value).toMatchObject({ thingsboard: { provisioning: { type } } });
    expect(overrides.secrets).toContain("s");
  });

  test("provisioning needs both the key and the secret", () => {
    expect(applyEnvironment({}, { TB_GW_PROVISIONING_DEVICE_KEY: "k" }).provisioning).toBe(false);
  });

  test("a limit percentage outside 1 to 100 is an error and 80 counts", () => {
    const { limitPercentage, issues } = applyEnvironment(
      {},
      { TB_DEFAULT_RATE_LIMIT_PERCENTAGE: "0" },
    );
    expect(limitPercentage).toBe(80);
    expect(issues).toHaveLength(1);
  });
});

describe("sourceOf", () => {
  test("names the variable of a value and of what is below it", () => {
    const overrides = applyEnvironment({}, { TB_GW_HOST: "a" });
    expect(sourceOf(overrides, ["thingsboard", "host"])).toBe("TB_GW_HOST");
    expect(sourceOf(overrides, ["thingsboard", "host", 0])).toBe("TB_GW_HOST");
    expect(sourceOf(overrides, ["thingsboard", "port"])).toBeUndefined();
    expect(sourceOf(overrides, ["thingsboard"])).toBeUndefined();
  });
});
