import { expect, test } from "bun:test";
import {
  classifyPuback,
  isCredentialsCode,
  isVersionCode,
  mayBlamePacket,
  quarantineReason,
  reasonText,
} from "../../../src/thingsboard/reasons.ts";

test("classifyPuback() tells a verdict on the records from trouble with the server", () => {
  expect([0, 0x10].map(classifyPuback)).toEqual(["accepted", "accepted"]);
  expect([0x96, 0x97].map(classifyPuback)).toEqual(["throttled", "throttled"]);
  expect([0x83, 0x90, 0x95, 0x99].map(classifyPuback)).toEqual(Array(4).fill("invalid"));
  expect([0x80, 0x87, 0x88, 0x91, 0x93].map(classifyPuback)).toEqual(Array(5).fill("retry"));
});

test("CONNACK codes about credentials and about the version are known in both protocols", () => {
  expect([4, 5, 0x86, 0x87].every(isCredentialsCode)).toBe(true);
  expect([3, 0x88, 0x97, 0x9f].some(isCredentialsCode)).toBe(false);
  expect([1, 0x84].every(isVersionCode)).toBe(true);
});

test("mayBlamePacket() blames a packet for a silent close, not for a rate limit or a take-over", () => {
  expect([undefined, 0x81, 0x8b, 0x99].every(mayBlamePacket)).toBe(true);
  expect([0x83, 0x8e, 0x97, 0x98, 0x96].some(mayBlamePacket)).toBe(false);
});

test("codes have words", () => {
  expect(reasonText(0x86)).toBe(
    "bad user name or password: check the access token or credentials (0x86)",
  );
  expect(reasonText(0xee)).toBe("refused (0xee)");
  expect([0x99, 0x90, 0x95, 0x83].map(quarantineReason)).toEqual([
    "payload-invalid",
    "topic-refused",
    "too-large",
    "refused",
  ]);
});
