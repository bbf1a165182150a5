import type { Clock } from "#sdk/clock";
import type { Logger } from "#sdk/logger";
import { freePort } from "../free-port.ts";
import { DemoPress } from "./press.ts";

/** A press that comes when everything else is at work already: its server takes as long to start as all the others together. */
export class LatePress implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #log: Logger;
  #coming: Promise<DemoPress | undefined> = Promise.resolve(undefined);

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts the press in the background and calls `onThere` with its address. A press that cannot start is said, and nothing else. */
  begin(onThere: (url: string) => Promise<void>): void {
    this.#coming = this.#start(onThere).catch((error: unknown) => {
      this.#log.warn("The OPC UA server of the demo cannot start", { error });
      return undefined;
    });
  }

  /** Resolves when it has started, with false when it could not. */
  async isThere(): Promise<boolean> {
    return (await this.#coming) !== undefined;
  }

  /** Lets nothing of it change any more. */
  async halt(): Promise<void> {
    const press = await this.#coming;
    await press?.halt();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const press = await this.#coming;
    await press?.[Symbol.asyncDispose]();
  }

  async #start(onThere: (url: string) => Promise<void>): Promise<DemoPress> {
    const press = await DemoPress.listen(this.#clock, await freePort());
    try {
      await onThere(press.url);
    } catch (error) {
      await press[Symbol.asyncDispose]();
      throw error;
    }
    return press;
  }
}
