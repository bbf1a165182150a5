import { statSync } from "node:fs";
import { homedir, release, type } from "node:os";
import { resolve } from "node:path";
import type { Clock } from "#sdk/clock";
import { type Logger, rateLimited } from "#sdk/logger";
import { isJsonObject, type Json } from "#sdk/model";
import type { GatewayMethod, GatewayMethods } from "./rpc-methods.ts";
import { ShellProcess } from "./shell-process.ts";

/** What the shell needs of its surroundings. */
export interface RemoteShellOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Where a session begins. */
  readonly cwd: string;
  /** Default: closed. */
  readonly switches?: ShellSwitches | undefined;
}

/** What must be on for the shell to be open. */
export interface ShellSwitches {
  /** `tbgw.allowRemoteShell`, which only the machine's own file can set. */
  readonly allowed: boolean;
  /** `thingsboard.remoteShell`, which the platform can set. */
  readonly enabled: boolean;
}

/** How long a session lasts without a call. */
const IDLE_MS = 600_000;
/** How long an answer waits for output; the terminal of the platform gives up after 500 ms. */
const WAIT_MS = 100;
/** Output in one answer, as JSON text. */
const ANSWER_BYTES = 24_576;
/** A longer command was not typed. */
const MAX_COMMAND = 65_536;

const CLOSED: Json = {
  error: "remote shell is not allowed on this gateway (tbgw.allowRemoteShell)",
  code: 403,
};

/** A `cd` and nothing else; anything that the shell would have to understand is left to the shell. */
const PLAIN_CD = /^\s*cd(?:\s+(?:--\s+)?("[^"$`\\]*"|'[^']*'|[^\s"'$`\\;&|<>()*?[\]{}#!]+))?\s*$/;

/**
 * The terminal of the platform: one session, one command at a time. Commands run with the rights of the gateway and with its
 * working directory unchanged; each is logged. Closed unless both switches are on, of which one is out of the platform's reach.
 */
export class RemoteShell implements AsyncDisposable {
  /** `getTermInfo`, `sendCommand`, `getCommandStatus`, `terminateCommand`, each also as `gateway_…`. */
  readonly methods: GatewayMethods;
  readonly #options: RemoteShellOptions;
  readonly #rareLog: Logger;
  /** May change while the gateway runs. */
  switches: ShellSwitches | undefined;
  #cwd: string;
  #previousCwd: string;
  #process: ShellProcess | undefined;
  /** Output of what ran without a process, such as `cd`. */
  #said = "";
  #idle: Disposable | undefined;
  /** The call before the next one: two at a time would fight for the one process. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RemoteShellOptions) {
    this.#options = options;
    this.#rareLog = rateLimited(options.log, options.clock);
    this.switches = options.switches;
    this.#cwd = options.cwd;
    this.#previousCwd = options.cwd;
    const guarded =
      (method: (params: Json | undefined) => Promise<Json>): GatewayMethod =>
      async (params) =>
        await this.#inTurn(() =>
          this.#isOpen ? this.#inSession(() => method(params)) : this.#closed(),
        );
    const methods: readonly (readonly [string, GatewayMethod])[] = [
      ["getTermInfo", guarded(async () => await Promise.resolve(this.#termInfo()))],
      ["sendCommand", guarded((params) => this.#sendCommand(params))],
      ["getCommandStatus", guarded(() => this.#commandStatus())],
      ["terminateCommand", guarded(() => this.#terminate())],
    ];
    this.methods = new Map(
      methods.flatMap(([name, method]) => [[name, method] as const, [`gateway_${name}`, method]]),
    );
  }

  /** Ends the session with all that runs in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inTurn(() => this.#endSession());
  }

  get #isOpen(): boolean {
    return this.switches?.enabled === true && this.switches.allowed;
  }

  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => undefined); // Whoever called gets it.
    return await turn;
  }

  /** A gate that is shut while a session is open ends it. */
  async #closed(): Promise<Json> {
    this.#rareLog.warn("A call of the remote shell is refused");
    await this.#endSession();
    return CLOSED;
  }

  async #inSession(run: () => Promise<Json>): Promise<Json> {
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#options.clock.timer(IDLE_MS, () => {
      this.#options.log.warn("Remote shell was left alone and is closed", { afterMs: IDLE_MS });
      this.#inTurn(() => this.#endSession()).catch((error: unknown) =>
        this.#options.log.error("Cannot end a command of the remote shell", { error }),
      );
    });
    return await run();
  }

  #termInfo(): Json {
    return { platform: type(), release: release(), cwd: this.#cwd };
  }

  async #sendCommand(params: Json | undefined): Promise<Json> {
    const { command, cwd } = isJsonObject(params) ? params : { command: params, cwd: undefined };
    if (typeof command !== "string" || command.trim() === "") {
      return { ok: false };
    }
    if (command.length > MAX_COMMAND) {
      return { ok: false, error: `the command is longer than ${MAX_COMMAND} characters` };
    }
    this.#options.log.warn("Remote shell runs a command", { command, cwd: this.#cwd });
    await this.#process?.kill();
    this.#process = undefined;
    this.#said = "";
    if (typeof cwd === "string" && cwd !== "") {
      this.#changeTo(resolve(this.#cwd, cwd));
    }
    if (/^\s*(?:quit|exit)\s*$/.test(command)) {
      await this.#endSession();
      return { ok: true };
    }
    const change = PLAIN_CD.exec(command);
    if (change === null) {
      this.#process = new ShellProcess(command, this.#usableCwd(), this.#options.clock);
    } else {
      this.#changeDirectory((change[1] ?? "").replaceAll(/^["']|["']$/g, ""));
    }
    return { ok: true };
  }

  async #commandStatus(): Promise<Json> {
    const running = this.#process;
    await running?.news(WAIT_MS);
    const stdout = this.#said + (running?.take(ANSWER_BYTES) ?? "");
    this.#said = "";
    const data = stdout === "" ? [] : [{ stdout, stderr: "" }];
    return { data, cwd: this.#cwd, done: running?.isDone ?? true };
  }

  async #terminate(): Promise<Json> {
    if (this.#process?.isRunning !== true) {
      return { ok: false, error: "Process for termination not found." };
    }
    await this.#process.kill();
    return { ok: true };
  }

  #changeDirectory(target: string): void {
    if (target === "-") {
      this.#changeTo(this.#previousCwd);
      return;
    }
    const path = target === "" ? homedir() : target.replace(/^~(?=\/|$)/, homedir());
    this.#changeTo(resolve(this.#cwd, path));
  }

  #changeTo(path: string): void {
    if (isDirectory(path)) {
      this.#previousCwd = path === this.#cwd ? this.#previousCwd : this.#cwd;
      this.#cwd = path;
    } else {
      this.#said = `cd: there is no directory ${path}\n`;
    }
  }

  /** The session's directory may have been removed. */
  #usableCwd(): string {
    if (!isDirectory(this.#cwd)) {
      this.#said = `${this.#cwd} is gone: the command runs in /\n`;
      this.#cwd = "/";
    }
    return this.#cwd;
  }

  async #endSession(): Promise<void> {
    this.#idle?.[Symbol.dispose]();
    this.#idle = undefined;
    const running = this.#process;
    this.#process = undefined;
    this.#said = "";
    this.#cwd = this.#options.cwd;
    this.#previousCwd = this.#options.cwd;
    await running?.kill();
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false; // Not to be looked at, which for a shell is the same.
  }
}
