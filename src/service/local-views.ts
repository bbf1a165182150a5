import type { Clock } from "#sdk/clock";
import { DataError, TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import { WebServer, type WebSettings } from "../web/server.ts";
import type { ExtensionsReport } from "./extension-status.ts";
import type { StatusReader } from "./status.ts";
import type { ConnectorReport, StatusReport } from "./status-protocol.ts";
import { StatusSocket } from "./status-socket.ts";

/** How long the delivery thread has to answer before the status says that it does not. */
const ANSWER_MS = 2000;

/** What the local views need. */
export interface LocalViewsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: string;
  /** `undefined`: no web server. */
  readonly web: WebSettings | undefined;
}

/** What a person or program on this machine can look at: the local socket for `tbgw status`, and the web server. */
export class LocalViews implements AsyncDisposable {
  readonly #options: LocalViewsOptions;
  #web: WebServer | undefined;
  #changes: Promise<void> = Promise.resolve();
  #socket: StatusSocket | undefined;
  #reader: StatusReader | undefined;
  #stage: "starting" | "running" | "stopping" = "starting";

  constructor(options: LocalViewsOptions) {
    this.#options = options;
    // While the store is being opened, which takes long after a crash with a large backlog, it says so.
    this.#startWeb(options.web);
  }

  /** The port of the web server; `undefined` while it does not listen. */
  get webPort(): number | undefined {
    return this.#web?.port;
  }

  /** The store is open: from here on there is something to see. */
  async show(reader: StatusReader): Promise<void> {
    this.#reader = reader;
    this.#stage = "running";
    const { clock, dataDir, log } = this.#options;
    const answer = (request: unknown): Promise<unknown> => answerTo(request, reader);
    this.#socket = await StatusSocket.open({ clock, dataDir, log, answer });
  }

  /** Listens elsewhere from here on, or not at all. Resolves when it was tried; one change after the other. */
  async setWeb(web: WebSettings | undefined): Promise<void> {
    this.#changes = this.#changes.then(async () => {
      await this.#web?.[Symbol.asyncDispose]();
      this.#web = undefined;
      if (this.#stage !== "stopping") {
        this.#startWeb(web);
      }
    });
    await this.#changes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stage = "stopping";
    await this.#changes;
    await this.#socket?.[Symbol.asyncDispose]();
    await this.#web?.[Symbol.asyncDispose]();
  }

  #startWeb(web: WebSettings | undefined): void {
    const { clock, log } = this.#options;
    if (web === undefined) {
      return;
    }
    const sources = {
      now: () => clock.now(),
      stage: () => this.#stage,
      status: async (waitMs: number) => await this.#required().read(waitMs),
      connectors: () => this.#required().connectors(),
      devices: (limit: number) => this.#required().devices(limit),
    };
    this.#web = new WebServer({ ...web, clock, log, sources });
    this.#web.start();
  }

  #required(): StatusReader {
    if (this.#reader === undefined) {
      throw new TransientError("The event store is being opened");
    }
    return this.#reader;
  }
}

/** @throws DataError when the request is none */
async function answerTo(
  request: unknown,
  reader: StatusReader,
): Promise<StatusReport | ConnectorReport | ExtensionsReport> {
  const { get, devices, name } = fieldsOf(request);
  if (get === "status") {
    const status = await reader.read(ANSWER_MS);
    const list = reader.devices(typeof devices === "number" ? devices : 0);
    return { ...status, deviceList: list.devices, devicesOmitted: list.omitted };
  }
  if (get === "connector") {
    const connectors = reader.connectors();
    const found = connectors.find((one) => one.name === name || one.id === name);
    if (found === undefined) {
      const names = connectors.map((one) => `"${one.name}"`).join(", ");
      throw new DataError(`There is no connector "${String(name)}"; there is ${names || "none"}`);
    }
    return { ...found, configuration: reader.configuration(found.id) };
  }
  if (get === "extensions") {
    return reader.extensions() ?? { pid: process.pid, roots: [], files: [], connectors: [] };
  }
  throw new DataError(
    'A request is {"get":"status"}, {"get":"connector","name":"…"} or {"get":"extensions"}',
  );
}

function fieldsOf(request: unknown): Readonly<Record<string, unknown>> {
  return typeof request === "object" && request !== null ? { ...request } : {};
}
