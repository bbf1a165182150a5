import { constants, createPrivateKey, type KeyObject, privateDecrypt } from "node:crypto";
import type { OPCUAClientOptions } from "node-opcua-client";
import type { KeyPair } from "./own-certificate.ts";

type Provider = NonNullable<OPCUAClientOptions["certificateKeyPairProvider"]>;

/**
 * The policy Basic128Rsa15 decrypts by PKCS#1 v1.5, which the run time refuses because most programs answer differently to a wrong padding
 * and so give away what was encrypted (Bleichenbacher). Here the padding is removed in constant time, and a wrong one gives an
 * empty block, which the check of the message's signature refuses like any other.
 */
export function withOwnRsa15<P extends Provider & { getKeyOperations(): KeyOperations }>(
  provider: P,
  key: KeyPair["key"],
): P {
  const operations = provider.getKeyOperations();
  const own = ownOperations(operations, toKeyObject(key));
  provider.getKeyOperations = () => own;
  return provider;
}

/** What the stack does with a private key. */
interface KeyOperations {
  decryptBlock(block: Uint8Array, params: DecryptParams): Promise<Uint8Array>;
  decryptBlockSync?(block: Uint8Array, params: DecryptParams): Uint8Array;
}
interface DecryptParams {
  readonly padding: "RSA-PKCS1-v1_5" | "RSA-OAEP";
}

function ownOperations<O extends KeyOperations>(operations: O, key: KeyObject): O {
  const decrypt = (block: Uint8Array): Buffer =>
    unpad(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, block));
  return new Proxy(operations, {
    get: (target, name) => {
      const original: unknown = Reflect.get(target, name, target);
      if (typeof original !== "function") {
        return original;
      }
      if (name === "decryptBlock") {
        return async (block: Uint8Array, params: DecryptParams): Promise<unknown> =>
          params.padding === "RSA-PKCS1-v1_5"
            ? decrypt(block)
            : await Reflect.apply(original, target, [block, params]);
      }
      if (name === "decryptBlockSync") {
        return (block: Uint8Array, params: DecryptParams): unknown =>
          params.padding === "RSA-PKCS1-v1_5"
            ? decrypt(block)
            : Reflect.apply(original, target, [block, params]);
      }
      return (...args: unknown[]): unknown => Reflect.apply(original, target, args);
    },
  });
}

/** Removes the padding `00 02 (eight or more bytes, none 0) 00` (RFC 8017 §7.2.2) without a branch on what was decrypted. */
export function unpad(block: Buffer): Buffer {
  let wrong = (block[0] ?? 1) | ((block[1] ?? 0) ^ 2);
  let end = 0;
  let found = 0;
  for (let index = 2; index < block.length; index += 1) {
    const isZero = ((block[index] ?? 0) - 1) >>> 31;
    const isFirst = isZero & ~found & 1;
    end |= -isFirst & index;
    found |= isZero;
  }
  wrong |= found ^ 1;
  wrong |= (end - 10) >>> 31;
  const start = wrong === 0 ? end + 1 : block.length;
  return block.subarray(start);
}

function toKeyObject(key: KeyPair["key"]): KeyObject {
  const { hidden } = key;
  return createPrivateKey(
    typeof hidden === "string" ? hidden : hidden.export({ type: "pkcs8", format: "pem" }),
  );
}
