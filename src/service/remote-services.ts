import type { Logger } from "#sdk/logger";
import type { Publisher } from "./claims.ts";
import { LogServices, type LogServicesDeps, type LogStatus } from "./log-services.ts";
import { OtaNotices } from "./ota-notices.ts";
import { RemoteShell, type ShellSwitches } from "./remote-shell.ts";

/** What the services need of a running gateway. */
export interface RemoteServicesDeps extends LogServicesDeps {
  readonly delivery: LogServicesDeps["delivery"] & Publisher;
  readonly log: Logger;
  readonly dataDir: string;
  readonly shell: ShellSwitches | undefined;
}

/** What a person at the platform can see and do besides data and calls: the log, the terminal, packages. */
export class RemoteServices implements AsyncDisposable {
  readonly shell: RemoteShell;
  readonly #logs: LogServices;
  readonly #ota: OtaNotices;

  constructor(deps: RemoteServicesDeps) {
    const { clock, log, dataDir, shell, own, delivery } = deps;
    this.shell = new RemoteShell({ clock, log, cwd: dataDir, switches: shell });
    this.#logs = new LogServices(deps);
    this.#ota = new OtaNotices({ own, publisher: delivery, log });
  }

  get logStatus(): LogStatus {
    return this.#logs.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ota[Symbol.dispose]();
    this.#logs[Symbol.dispose]();
    await this.shell[Symbol.asyncDispose]();
  }
}
