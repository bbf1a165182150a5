import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { security, toCredentials, wantsTls } from "../../../src/config/security.ts";

function credentials(section: object) {
  return toCredentials(v.parse(security, section)).credentials;
}

describe("toCredentials", () => {
  test("without a type, what is given decides", () => {
    expect(credentials({ accessToken: "t", username: "u" })).toEqual({
      kind: "accessToken",
      accessToken: "t",
    });
    expect(credentials({ username: "u", password: "p" })).toMatchObject({
      kind: "usernamePassword",
      username: "u",
      password: "p",
    });
    expect(credentials({ clientId: "c" })).toMatchObject({ clientId: "c", username: undefined });
    expect(credentials({ cert: "c", privateKey: "k" })).toEqual({ kind: "certificate" });
  });

  test("with a type, only its own keys count", () => {
    const all = { accessToken: "t", username: "u", password: "p", cert: "c", privateKey: "k" };
    expect(credentials({ ...all, type: "tlsAccessToken" })?.kind).toBe("accessToken");
    expect(credentials({ ...all, type: "usernamePassword" })?.kind).toBe("usernamePassword");
    expect(credentials({ ...all, type: "tlsPrivateKey" })?.kind).toBe("certificate");
    expect(credentials({ ...all, type: "x509Certificate" })?.kind).toBe("certificate");
  });

  test.each([
    [{}, ""],
    [{ accessToken: "" }, ""],
    [{ type: "accessToken", username: "u" }, "accessToken"],
    [{ type: "usernamePassword", password: "p" }, "username"],
    [{ type: "tlsPrivateKey", cert: "c" }, "privateKey"],
    [{ cert: "c" }, ""],
  ])("%j are no credentials, and the error says what is missing", (section, key) => {
    const result = toCredentials(v.parse(security, section));
    expect(result.credentials).toBeUndefined();
    expect(result.issues).toMatchObject([{ severity: "error", path: key === "" ? [] : [key] }]);
  });

  test("the token of the installed file is a warning", () => {
    const { credentials: found, issues } = toCredentials(
      v.parse(security, { accessToken: "YOUR_ACCESS_TOKEN" }),
    );
    expect(found?.kind).toBe("accessToken");
    expect(issues).toMatchObject([{ severity: "warning", path: ["accessToken"] }]);
  });
});

describe("wantsTls", () => {
  test.each([
    [{ accessToken: "t" }, false],
    [{ accessToken: "t", caCert: "" }, false],
    [{ accessToken: "t", caCert: "ca.pem" }, true],
    [{ accessToken: "t", tls: true }, true],
    [{ type: "tlsAccessToken", accessToken: "t" }, true],
    [{ cert: "c", privateKey: "k" }, true],
  ])("%j: %p", (section, expected) => {
    expect(wantsTls(v.parse(security, section))).toBe(expected);
  });
});
