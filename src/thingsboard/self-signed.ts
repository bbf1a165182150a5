import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** A certificate and its private key (PKCS #8), both as PEM text. */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

/** Tags of the ASN.1 types that are used here (ITU-T X.690 §8). */
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const SEQUENCE = 0x30;
const SET = 0x31;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
/** `[0]`, explicit. */
const VERSION_TAG = 0xa0;

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 §3.2). */
const ECDSA_WITH_SHA256 = Buffer.from("2a8648ce3d040302", "hex");
/** id-at-commonName, 2.5.4.3. */
const COMMON_NAME = Buffer.from("550403", "hex");

/** Before any board's clock that may be trusted, so that a clock that is wrong at this moment does no harm. */
const NOT_BEFORE = "200101000000Z";
/** No end that is known (RFC 5280 §4.1.2.5): the platform pins this very certificate. */
const NOT_AFTER = "99991231235959Z";

/** Makes an EC P-256 key and a certificate for it that it signs itself, valid from 2020 with no end. */
export function createSelfSigned(commonName: string): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OBJECT_IDENTIFIER, COMMON_NAME), utf8(commonName))),
  );
  const algorithm = der(SEQUENCE, der(OBJECT_IDENTIFIER, ECDSA_WITH_SHA256));
  const body = der(
    SEQUENCE,
    der(VERSION_TAG, der(INTEGER, Buffer.of(2))),
    der(INTEGER, serialNumber()),
    algorithm,
    name,
    der(
      SEQUENCE,
      der(UTC_TIME, Buffer.from(NOT_BEFORE)),
      der(GENERALIZED_TIME, Buffer.from(NOT_AFTER)),
    ),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  // A bit string begins with the number of its unused bits.
  const signature = der(BIT_STRING, Buffer.of(0), sign("sha256", body, privateKey));
  return {
    certificate: pem("CERTIFICATE", der(SEQUENCE, body, algorithm, signature)),
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/** Sixteen random bytes as a positive integer without leading zeros. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes;
}

function utf8(text: string): Buffer {
  return der(UTF8_STRING, Buffer.from(text));
}

/** Tag, length and content (X.690 §8.1.3). */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) {
    return Buffer.concat([Buffer.of(tag, length), content]);
  }
  const size =
    length < 0x100 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 255);
  return Buffer.concat([Buffer.of(tag), size, content]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
