import { describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSelfSigned } from "../../../src/thingsboard/self-signed.ts";

describe("createSelfSigned", () => {
  test("makes a certificate that its own key has signed", () => {
    const { certificate, privateKey } = createSelfSigned("localhost");
    const read = new X509Certificate(certificate);
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
    expect(read.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect([read.subject, read.issuer]).toEqual(["CN=localhost", "CN=localhost"]);
  });

  test("is valid from 2020 with no end that is known", () => {
    const read = new X509Certificate(createSelfSigned("localhost").certificate);
    expect(new Date(read.validFrom).toISOString()).toBe("2020-01-01T00:00:00.000Z");
    expect(new Date(read.validTo).toISOString()).toBe("9999-12-31T23:59:59.000Z");
  });

  test.each([1, 63, 64, 200])("takes a name of %d characters", (length) => {
    const name = "ä".repeat(length);
    const read = new X509Certificate(createSelfSigned(name).certificate);
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.raw.includes(name)).toBe(true);
  });

  test("is another one each time", () => {
    const serials = Array.from(
      { length: 20 },
      () => new X509Certificate(createSelfSigned("a").certificate).serialNumber,
    );
    expect(new Set(serials).size).toBe(20);
    expect(serials.every((serial) => serial.length === 32)).toBe(true);
  });
});
