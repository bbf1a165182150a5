import type { Connector } from "#sdk/connector";

/** A connector instance that is running: `create` has succeeded and it has not ended. */
export interface RunningConnector {
  readonly id: string;
  readonly name: string;
  /** As in `tb_gateway.json`. */
  readonly type: string;
  readonly connector: Connector;
}

/** The connectors that run at this moment, for whoever has something to tell them. */
export class ConnectorDirectory {
  readonly #running = new Map<string, RunningConnector>();
  readonly #listeners = new Set<(running: RunningConnector) => void>();

  /** Enters an instance, in the place of an older one with its id, until the result is disposed. */
  add(running: RunningConnector): Disposable {
    this.#running.set(running.id, running);
    for (const listener of this.#listeners) {
      listener(running);
    }
    return {
      [Symbol.dispose]: () => {
        if (this.#running.get(running.id) === running) {
          this.#running.delete(running.id);
        }
      },
    };
  }

  /** Calls `listener` for each instance that begins to run, until the result is disposed. */
  onRunning(listener: (running: RunningConnector) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  byId(id: string): RunningConnector | undefined {
    return this.#running.get(id);
  }

  /** Names are compared as they are written. */
  byName(name: string): RunningConnector | undefined {
    return this.all().find((running) => running.name === name);
  }

  /** All of one type, in the order they began to run; the case of the letters does not matter. */
  ofType(type: string): readonly RunningConnector[] {
    const wanted = type.toLowerCase();
    return this.all().filter((running) => running.type.toLowerCase() === wanted);
  }

  all(): readonly RunningConnector[] {
    return [...this.#running.values()];
  }
}
