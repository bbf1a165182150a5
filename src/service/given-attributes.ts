import type { Json, Values } from "#sdk/model";
import { answerText } from "./rpc-answers.ts";

/** Most characters of names and values that are remembered. */
const MAX_LENGTH = 16 * 1024 * 1024;

interface Given {
  readonly connectorId: string;
  readonly texts: Map<string, string>;
  length: number;
}

/**
 * The shared attributes that connectors were given last, by device. What does not fit is forgotten, the device that was longest without a
 * change first: it is given everything once more then.
 */
export class GivenAttributes {
  readonly #devices = new Map<string, Given>();
  #length = 0;

  /** A connector has taken these. */
  took(
    { deviceName, connectorId }: { readonly deviceName: string; readonly connectorId: string },
    values: Values,
    removed: readonly string[],
  ): void {
    const given = this.#of(deviceName, connectorId);
    for (const key of removed) {
      this.#drop(given, key);
    }
    for (const [key, value] of Object.entries(values)) {
      this.#drop(given, key);
      const text = answerText(value);
      given.texts.set(key, text);
      this.#grow(given, key.length + text.length);
    }
    // The latest change comes last.
    this.#devices.delete(deviceName);
    this.#devices.set(deviceName, given);
    this.#trim(deviceName);
  }

  /** It is not known whether the connector has taken these. */
  unsure(deviceName: string, keys: readonly string[]): void {
    const given = this.#devices.get(deviceName);
    for (const key of given === undefined ? [] : keys) {
      if (given !== undefined) {
        this.#drop(given, key);
      }
    }
  }

  /** The instance that was given something is gone. */
  forgetConnector(connectorId: string): void {
    for (const [deviceName, given] of this.#devices) {
      if (given.connectorId === connectorId) {
        this.#forget(deviceName, given);
      }
    }
  }

  /** Names of what the connector of a device has. */
  keys(deviceName: string): readonly string[] {
    return [...(this.#devices.get(deviceName)?.texts.keys() ?? [])];
  }

  /** Whether the connector of a device has exactly this value. */
  has(deviceName: string, key: string, value: Json): boolean {
    return this.#devices.get(deviceName)?.texts.get(key) === answerText(value);
  }

  #of(deviceName: string, connectorId: string): Given {
    const known = this.#devices.get(deviceName);
    if (known?.connectorId === connectorId) {
      return known;
    }
    if (known !== undefined) {
      this.#forget(deviceName, known);
    }
    return { connectorId, texts: new Map(), length: 0 };
  }

  #drop(given: Given, key: string): void {
    const text = given.texts.get(key);
    if (text !== undefined) {
      given.texts.delete(key);
      this.#grow(given, -(key.length + text.length));
    }
  }

  #grow(given: Given, by: number): void {
    given.length += by;
    this.#length += by;
  }

  #forget(deviceName: string, given: Given): void {
    this.#devices.delete(deviceName);
    this.#length -= given.length;
  }

  #trim(except: string): void {
    for (const [deviceName, given] of this.#devices) {
      if (this.#length <= MAX_LENGTH) {
        return;
      }
      if (deviceName !== except) {
        this.#forget(deviceName, given);
      }
    }
  }
}
