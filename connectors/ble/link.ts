import type { Clock } from "#sdk/clock";
import { RejectedError, TransientError } from "#sdk/errors";
import { normalUuid } from "./addresses.ts";
import { type AttError, attReason } from "./att-errors.ts";
import { Loss } from "./loss.ts";
import { settle } from "./settle.ts";
import { Turns } from "./turns.ts";

/** What a link needs of its adapter. */
export interface LinkContext {
  readonly clock: Clock;
  /** Happens when the adapter is gone. */
  readonly adapter: Loss;
  /** Called when the link has ended, once. */
  readonly ended: (link: PeripheralLink) => void;
}

/** A characteristic of a connected peripheral. */
export interface Characteristic {
  readonly uuid: string;
  readonly serviceUuid: string;
  readonly properties: readonly string[];
  readonly noble: NobleCharacteristic;
}

const DISCOVERY_TIMEOUT_MS = 15_000;
const OPERATION_TIMEOUT_MS = 5000;
/** How long the end of a link may take before it counts as ended. */
const GOODBYE_MS = 1000;

const ATT = { readByType: 0x08, read: 0x0a, write: 0x12, prepareWrite: 0x16, executeWrite: 0x18 };

/** One connection to a peripheral, from its start to its loss. */
export class PeripheralLink implements AsyncDisposable {
  readonly peripheral: NoblePeripheral;
  readonly #context: LinkContext;
  readonly #turns = new Turns();
  /** Happens when the link has ended. */
  readonly loss = new Loss();
  #characteristics: readonly Characteristic[] = [];
  #refusal:
    | { readonly requests: readonly number[]; reject(error: RejectedError): void }
    | undefined;
  #adapter: Disposable = { [Symbol.dispose]: () => undefined };
  #lastError: AttError | undefined;
  #isOpen = false;

  constructor(peripheral: NoblePeripheral, context: LinkContext) {
    this.peripheral = peripheral;
    this.#context = context;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get characteristics(): readonly Characteristic[] {
    return this.#characteristics;
  }

  /** Connects. @throws TransientError; the adapter may connect somebody else then */
  async connect(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { peripheral } = this;
    if (peripheral.state === "connected") {
      peripheral.disconnect();
      throw new TransientError("The peripheral is still connected from before");
    }
    this.#adapter = this.#context.adapter.listen((cause) => this.#end(cause.message));
    peripheral.once("disconnect", () => this.#end("The peripheral has disconnected"));
    try {
      await this.#within(peripheral.connectAsync(), { timeoutMs, action: "connect" }, signal);
    } catch (error) {
      peripheral.cancelConnect();
      peripheral.removeAllListeners();
      this.#adapter[Symbol.dispose]();
      throw error;
    }
    this.#isOpen = true;
  }

  /** Finds out what the peripheral has. @throws TransientError */
  async discover(signal: AbortSignal): Promise<void> {
    const { peripheral } = this;
    await this.#operate("look for characteristics", {
      start: async () => {
        await peripheral.discoverAllServicesAndCharacteristicsAsync();
      },
      timeoutMs: DISCOVERY_TIMEOUT_MS,
      signal,
    });
    this.#characteristics = (peripheral.services ?? []).flatMap((service) =>
      (service.characteristics ?? []).map((noble) => ({
        uuid: normalUuid(noble.uuid) ?? noble.uuid,
        serviceUuid: normalUuid(service.uuid) ?? service.uuid,
        properties: noble.properties,
        noble,
      })),
    );
  }

  /** The characteristic with a UUID of `normalUuid`; the first one where there are several. */
  find(uuid: string): Characteristic | undefined {
    return this.#characteristics.find((one) => one.uuid === uuid);
  }

  /** @throws RejectedError when the peripheral refuses it, TransientError when it does not answer; then the link ends */
  async read(
    characteristic: Characteristic,
    signal: AbortSignal,
    isUrgent = false,
  ): Promise<Uint8Array> {
    const bytes = await this.#operate("read the characteristic", {
      start: () => characteristic.noble.readAsync(),
      refusals: [ATT.read],
      isUrgent,
      signal,
    });
    return bytes === undefined ? new Uint8Array(0) : Uint8Array.from(bytes);
  }

  /** With a response where the characteristic gives one. @throws as `read` */
  async write(
    characteristic: Characteristic,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const { properties } = characteristic;
    if (!properties.includes("write") && !properties.includes("writeWithoutResponse")) {
      throw new RejectedError("The characteristic cannot be written");
    }
    await this.#operate("write the characteristic", {
      start: () =>
        characteristic.noble.writeAsync(Buffer.from(bytes), !properties.includes("write")),
      refusals: [ATT.write, ATT.prepareWrite, ATT.executeWrite],
      isUrgent: true,
      signal,
    });
  }

  /** Hands each notification and indication to `listener` until the link ends. @throws as `read` */
  async subscribe(
    characteristic: Characteristic,
    listener: (bytes: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    characteristic.noble.on("data", (bytes, isNotification) => {
      if (isNotification === true) {
        listener(Uint8Array.from(bytes));
      }
    });
    await this.#operate("subscribe to the characteristic", {
      start: () => characteristic.noble.subscribeAsync(),
      refusals: [ATT.readByType, ATT.write],
      signal,
    });
  }

  /** Values of the descriptors of a characteristic, by UUID. @throws as `read` */
  async descriptors(
    characteristic: Characteristic,
    signal: AbortSignal,
  ): Promise<readonly { readonly uuid: string; readonly value: Uint8Array }[]> {
    const found = await this.#operate("look for descriptors", {
      start: () => characteristic.noble.discoverDescriptorsAsync(),
      isUrgent: true,
      signal,
    });
    const values: { readonly uuid: string; readonly value: Uint8Array }[] = [];
    for (const descriptor of found ?? []) {
      const bytes = await this.#operate("read a descriptor", {
        start: () => descriptor.readValueAsync(),
        isUrgent: true,
        signal,
      });
      const value = bytes === undefined ? new Uint8Array(0) : Uint8Array.from(bytes);
      values.push({ uuid: normalUuid(descriptor.uuid) ?? descriptor.uuid, value });
    }
    return values;
  }

  /** Takes an error response of the peripheral, which noble does not always pass on. */
  refused(error: AttError): void {
    this.#lastError = error;
    const refusal = this.#refusal;
    if (refusal?.requests.includes(error.request) === true && !error.needsEncryption) {
      refusal.reject(new RejectedError(`The peripheral refuses: ${attReason(error.code)}`));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOpen) {
      return;
    }
    const { clock } = this.#context;
    this.peripheral.disconnect();
    const over = Promise.withResolvers<void>();
    using _timer = clock.timer(GOODBYE_MS, over.resolve);
    using _loss = this.loss.listen(() => over.resolve());
    await over.promise;
    this.#end("The link was closed");
  }

  async #operate<T>(
    action: string,
    operation: {
      readonly start: () => Promise<T>;
      readonly refusals?: readonly number[];
      readonly timeoutMs?: number;
      readonly isUrgent?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<T | undefined> {
    const { start, refusals = [], timeoutMs = OPERATION_TIMEOUT_MS, signal } = operation;
    return await this.#turns.run(async () => {
      if (this.loss.cause !== undefined) {
        throw this.loss.cause;
      }
      const refusal = Promise.withResolvers<never>();
      this.#refusal = { requests: refusals, reject: refusal.reject };
      this.#lastError = undefined;
      try {
        const either = Promise.race([start(), refusal.promise]);
        return await this.#within(either, { timeoutMs, action }, signal);
      } catch (error) {
        if (error instanceof TransientError && this.#isOpen) {
          // Nothing else would get through: the peripheral works off one request after the other.
          this.peripheral.disconnect();
          this.#end(error.message);
        }
        throw error;
      } finally {
        this.#refusal = undefined;
      }
    }, operation.isUrgent === true);
  }

  async #within<T>(
    promise: Promise<T>,
    limit: { readonly timeoutMs: number; readonly action: string },
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { clock } = this.#context;
    const hint = (): string =>
      this.#lastError === undefined ? "" : ` (${attReason(this.#lastError.code)})`;
    return await settle(promise, { ...limit, clock, lost: this.loss, hint }, signal);
  }

  #end(reason: string): void {
    this.#adapter[Symbol.dispose]();
    this.loss.happen(new TransientError(reason));
    if (!this.#isOpen) {
      return;
    }
    this.#isOpen = false;
    this.peripheral.removeAllListeners();
    for (const { noble } of this.#characteristics) {
      noble.removeAllListeners();
    }
    this.#context.ended(this);
  }
}
