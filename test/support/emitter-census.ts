import { EventEmitter } from "node:events";

const METHODS = ["on", "addListener", "once", "prependListener", "prependOnceListener"] as const;

/** Counts the listeners on event emitters of some kinds, by the names of their classes, from its making to its disposal. */
export class EmitterCensus implements Disposable {
  readonly #emitters = new Set<WeakRef<EventEmitter>>();
  readonly #known = new WeakSet<EventEmitter>();
  readonly #undo: (() => void)[] = [];

  constructor(classes: readonly string[]) {
    const note = (emitter: EventEmitter): void => {
      if (classes.includes(emitter.constructor.name) && !this.#known.has(emitter)) {
        this.#known.add(emitter);
        this.#emitters.add(new WeakRef(emitter));
      }
    };
    const prototype = EventEmitter.prototype;
    for (const method of METHODS) {
      const original = prototype[method];
      prototype[method] = function counted(this: EventEmitter, ...args) {
        note(this);
        return original.apply(this, args);
      };
      this.#undo.push(() => {
        prototype[method] = original;
      });
    }
  }

  /** Listeners on those that are still there, after what nobody uses has been collected. */
  count(): number {
    Bun.gc(true);
    let listeners = 0;
    for (const reference of this.#emitters) {
      const emitter = reference.deref();
      if (emitter === undefined) {
        this.#emitters.delete(reference);
        continue;
      }
      for (const event of emitter.eventNames()) {
        listeners += emitter.listenerCount(event);
      }
    }
    return listeners;
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo) {
      undo();
    }
  }
}
