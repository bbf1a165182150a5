/** What the log has said about things, so that it says each change once. */
export class Said {
  readonly #said = new Map<string, string>();

  /** Whether this is news about the thing; the empty text is that all is well. */
  isNews(thing: string, text: string): boolean {
    if ((this.#said.get(thing) ?? "") === text) {
      return false;
    }
    if (text === "") {
      this.#said.delete(thing);
    } else {
      this.#said.set(thing, text);
    }
    return true;
  }
}
