import type { Clock } from "#sdk/clock";
import { RejectedError, TransientError } from "#sdk/errors";
import type { FoundDescriptor } from "./att.ts";
import { type AttError, attReason } from "./att-errors.ts";
import { type Characteristic, GattClient } from "./gatt-client.ts";
import { Loss } from "./loss.ts";
import { settle } from "./settle.ts";
import { findCharacteristic, type Target } from "./target.ts";
import { Turns } from "./turns.ts";

/** What a link needs of its adapter. */
export interface LinkContext {
  readonly clock: Clock;
  /** Happens when the adapter is gone. */
  readonly adapter: Loss;
  /** The GATT layer of a peripheral, by its identifier, while it is connected. */
  readonly gatt: (peripheralId: string) => NobleGatt | undefined;
  /** Called when the link has ended, once. */
  readonly ended: (link: PeripheralLink) => void;
}

const DISCOVERY_TIMEOUT_MS = 15_000;
const OPERATION_TIMEOUT_MS = 5000;
/** How long the end of a link may take before it counts as ended. */
const GOODBYE_MS = 1000;

/** One connection to a peripheral, from its start to its loss. */
export class PeripheralLink implements AsyncDisposable {
  readonly peripheral: NoblePeripheral;
  readonly #context: LinkContext;
  readonly #turns = new Turns();
  /** Happens when the link has ended. */
  readonly loss = new Loss();
  #characteristics: readonly Characteristic[] = [];
  #client: GattClient | undefined;
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
      const gatt = this.#context.gatt(peripheral.id);
      if (gatt === undefined) {
        throw new TransientError("The peripheral has disconnected");
      }
      this.#client = new GattClient(gatt);
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
    const found = await this.#operate("look for characteristics", {
      start: (client) => client.discover(),
      timeoutMs: DISCOVERY_TIMEOUT_MS,
      signal,
    });
    this.#characteristics = found ?? [];
  }

  /** @throws RejectedError that says what there is instead */
  find(target: Target): Characteristic {
    return findCharacteristic(this.#characteristics, target);
  }

  /** @throws RejectedError when the peripheral refuses it, TransientError when it does not answer; then the link ends */
  async read(
    characteristic: Characteristic,
    signal: AbortSignal,
    isUrgent = false,
  ): Promise<Uint8Array> {
    const bytes = await this.#operate("read the characteristic", {
      start: (client) => client.read(characteristic.handle),
      isUrgent,
      signal,
    });
    return bytes ?? new Uint8Array(0);
  }

  /** With a response where the characteristic gives one. @throws as `read` */
  async write(
    { handle, properties }: Characteristic,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    if (!properties.includes("write") && !properties.includes("writeWithoutResponse")) {
      throw new RejectedError("The characteristic cannot be written");
    }
    await this.#operate("write the characteristic", {
      start: async (client) =>
        await (properties.includes("write")
          ? client.write(handle, bytes)
          : client.writeCommand(handle, bytes)),
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
    await this.#operate("subscribe to the characteristic", {
      start: (client) => client.subscribe(characteristic, listener),
      signal,
    });
  }

  /** The descriptors of a characteristic, with their values. @throws as `read` */
  async descriptors(
    characteristic: Characteristic,
    signal: AbortSignal,
  ): Promise<readonly (FoundDescriptor & { readonly value: Uint8Array })[]> {
    const found = await this.#operate("look for descriptors", {
      start: (client) => client.descriptors(characteristic),
      isUrgent: true,
      signal,
    });
    const values: (FoundDescriptor & { readonly value: Uint8Array })[] = [];
    for (const descriptor of found ?? []) {
      const value = await this.#operate("read a descriptor", {
        start: (client) => client.read(descriptor.handle),
        isUrgent: true,
        signal,
      });
      values.push({ ...descriptor, value: value ?? new Uint8Array(0) });
    }
    return values;
  }

  /** Notes an error response of the peripheral: it tells why nothing came when noble goes on in its own way, as with pairing. */
  refused(error: AttError): void {
    this.#lastError = error;
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
      readonly start: (client: GattClient) => Promise<T>;
      readonly timeoutMs?: number;
      readonly isUrgent?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<T | undefined> {
    const { start, timeoutMs = OPERATION_TIMEOUT_MS, signal } = operation;
    return await this.#turns.run(async () => {
      if (this.loss.cause !== undefined) {
        throw this.loss.cause;
      }
      this.#lastError = undefined;
      try {
        return await this.#within(
          this.#client === undefined ? undefined : start(this.#client),
          { timeoutMs, action },
          signal,
        );
      } catch (error) {
        if (error instanceof TransientError && this.#isOpen) {
          // Nothing else would get through: the peripheral works off one request after the other.
          this.peripheral.disconnect();
          this.#end(error.message);
        }
        throw error;
      }
    }, operation.isUrgent === true);
  }

  async #within<T>(
    promise: Promise<T> | undefined,
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
    this.#client?.close();
    this.#context.ended(this);
  }
}
