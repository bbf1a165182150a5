import { describe, expect, test } from "bun:test";
import { gatewayConfig } from "../../../src/config/gateway.ts";
import { REDACTED, redact } from "../../../src/config/redact.ts";
import { busConfig } from "../../support/config-connectors.ts";

describe("redact", () => {
  test("replaces secret fields and leaves the rest", () => {
    const config = {
      thingsboard: { host: "a", security: { accessToken: "t0ken", username: "u", password: "p" } },
    };
    expect(redact(config, gatewayConfig)).toEqual({
      thingsboard: {
        host: "a",
        security: { accessToken: REDACTED, username: "u", password: REDACTED },
      },
    });
  });

  test("a secret of a wrong type is replaced too", () => {
    const config = { thingsboard: { security: { accessToken: 5, password: ["p"] } } };
    expect(redact(config, gatewayConfig)).toEqual({
      thingsboard: { security: { accessToken: REDACTED, password: REDACTED } },
    });
  });

  test("shows a reference, and hides a text with a reference in it", () => {
    const config = { broker: { host: "a", password: "${env:P}" } };
    expect(redact(config, busConfig)).toEqual(config);
    const mixed = { broker: { host: "a", password: "x${env:P}" } };
    expect(redact(mixed, busConfig)).toEqual({ broker: { host: "a", password: REDACTED } });
  });

  test("goes by the name where there is no schema", () => {
    const config = { devices: [{ apiToken: "a", passwd: 1, name: "n", tokens: { inner: "x" } }] };
    expect(redact(config, undefined)).toEqual({
      devices: [{ apiToken: REDACTED, passwd: REDACTED, name: "n", tokens: { inner: "x" } }],
    });
    const misspelt = { broker: { host: "a", passwort: "p" } };
    expect(redact(misspelt, busConfig)).toEqual({ broker: { host: "a", passwort: REDACTED } });
  });
});
