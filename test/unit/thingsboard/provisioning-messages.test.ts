import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  adviceFor,
  decodeAnswer,
  encodeRequest,
  parseObject,
  wishedCredentials,
} from "../../../src/thingsboard/provisioning-messages.ts";
import type { ProvisioningRequest } from "../../../src/thingsboard/settings.ts";

const random = (): string => "random";

function request(wanted: ProvisioningRequest["wanted"]): unknown {
  const settings = { deviceKey: "k", deviceSecret: "s", deviceName: undefined, wanted };
  const answer = wishedCredentials(wanted, random);
  const certificate = answer.credentialsType === "X509_CERTIFICATE" ? "PEM" : undefined;
  return JSON.parse(encodeRequest({ request: settings, deviceName: "GW 1", answer, certificate }));
}

const COMMON = {
  provisionDeviceKey: "k",
  provisionDeviceSecret: "s",
  deviceName: "GW 1",
  gateway: true,
};

describe("encodeRequest", () => {
  test("names the credentials as the platform wants them, and makes up what was left open", () => {
    expect(request({ kind: "accessToken", accessToken: "abc" })).toEqual({
      ...COMMON,
      credentialsType: "ACCESS_TOKEN",
      token: "abc",
    });
    expect(
      request({ kind: "usernamePassword", clientId: "c", username: undefined, password: "p" }),
    ).toEqual({
      ...COMMON,
      credentialsType: "MQTT_BASIC",
      clientId: "c",
      username: "random",
      password: "p",
    });
    expect(request({ kind: "certificate", caCert: "ca.pem" })).toEqual({
      ...COMMON,
      credentialsType: "X509_CERTIFICATE",
      hash: "PEM",
    });
  });
});

describe("decodeAnswer", () => {
  test.each([
    [{ credentialsType: "ACCESS_TOKEN", credentialsValue: "" }],
    [{ credentialsType: "ACCESS_TOKEN", credentialsValue: null }],
    [{ credentialsType: "MQTT_BASIC", credentialsValue: "text" }],
    [{ credentialsType: "MQTT_BASIC", credentialsValue: { password: "p" } }],
    [{ credentialsType: "LWM2M_CREDENTIALS", credentialsValue: "x" }],
    [{}],
  ])("%j holds no credentials", (answer) => {
    expect(decodeAnswer(answer)).toBeUndefined();
  });

  test("leaves out what the platform left empty", () => {
    const credentialsValue = { clientId: null, userName: "u", password: "" };
    expect(decodeAnswer({ credentialsType: "MQTT_BASIC", credentialsValue })).toEqual({
      credentialsType: "MQTT_BASIC",
      credentialsValue: { clientId: undefined, userName: "u", password: undefined },
    });
  });

  test("never throws, whatever the platform says", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const answer = parseObject(text);
        expect(answer === undefined || typeof answer === "object").toBe(true);
        expect(adviceFor(answer).length).toBeGreaterThan(0);
        decodeAnswer(answer ?? {});
      }),
    );
  });
});

describe("adviceFor", () => {
  test("never shows credentials", () => {
    const answer = { status: "SUCCESS", credentialsType: "OTHER", credentialsValue: "t0p-s3cret" };
    expect(adviceFor(answer)).not.toContain("t0p-s3cret");
    expect(adviceFor({ status: "BUSY", errorMsg: "try later" })).toContain("try later");
  });
});
