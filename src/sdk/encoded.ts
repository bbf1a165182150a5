/**
 * A value that has been written as JSON text already, by the rules of `sdk/encode`, in another thread. It stands in the place of a value
 * and is written as it is; only the core makes one.
 */
export class EncodedJson {
  /** Makes the class nominal: a `{ text }` object is a value like any other. */
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }
}
