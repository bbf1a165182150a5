import { randomInt } from "node:crypto";
import { join } from "node:path";
import { REFUSED_RETRY_MS } from "#sdk/backoff";
import type { Clock } from "#sdk/clock";
import { TransientError } from "#sdk/errors";
import type { Logger } from "#sdk/logger";
import {
  CERTIFICATE_FILE,
  CREDENTIALS_FILE,
  KEY_FILE,
  ownCertificate,
  readText,
  writeSecret,
} from "./credential-files.ts";
import type { LinkListener, MqttLink } from "./link.ts";
import {
  type Answer,
  adviceFor,
  decodeAnswer,
  encodeRequest,
  parseObject,
  wishedCredentials,
} from "./provisioning-messages.ts";
import { reasonText } from "./reasons.ts";
import type { Credentials, TlsSettings, Unprovisioned } from "./settings.ts";

const REQUEST_TOPIC = "/provision/request";
const RESPONSE_TOPIC = "/provision/response";
/** A CONNECT with this user name opens a session that may do nothing but ask for credentials. */
const GUEST: Credentials = {
  kind: "usernamePassword",
  username: "provision",
  password: undefined,
  clientId: undefined,
};
/** The server makes the device before it answers. */
const ANSWER_TIMEOUT_MS = 60_000;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
/** Of made-up tokens, names and passwords: 94 bits. */
const SECRET_LENGTH = 20;

/** Who the gateway is on the platform. */
export interface Identity {
  readonly credentials: Credentials;
  readonly tls: TlsSettings | undefined;
}

/**
 * Opens a connection to the platform as somebody, up to CONNACK.
 * @throws TransientError; with `retryAfterMs` 60 s when the server refuses who that is.
 */
export type OpenAs = (identity: Identity, listener: LinkListener) => Promise<MqttLink>;

/** What provisioning needs. */
export interface ProvisionerHost {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is asked for, with everything made up that was left open. */
interface Wish {
  /** JSON text. */
  readonly message: string;
  readonly answer: Answer;
}

/**
 * Gets the gateway its credentials by the provisioning part of the ThingsBoard MQTT Device API and keeps them in
 * `.credentials`. What is made up at random stays the same over all attempts of the process, so that an answer lost on the
 * way costs nothing: a device that "exists already" and takes these credentials is ours.
 */
export class Provisioner {
  readonly #settings: Unprovisioned;
  readonly #tls: TlsSettings | undefined;
  /** Of `.credentials`. */
  readonly #path: string;
  readonly #host: ProvisionerHost;
  #wish: Wish | undefined;
  #obtained: Identity | undefined;
  /** Text of `.credentials` that could not be written yet. */
  #unsaved: string | undefined;

  constructor(settings: Unprovisioned, tls: TlsSettings | undefined, host: ProvisionerHost) {
    this.#settings = settings;
    this.#tls = tls;
    this.#path = join(settings.dataDir, CREDENTIALS_FILE);
    this.#host = host;
  }

  /**
   * The identity; asks for it over one connection when there is none yet. Ends within about 70 s.
   * @throws TransientError in words; with `retryAfterMs` 60 s when the platform says no and a person must act.
   */
  async identity(open: OpenAs, signal: AbortSignal): Promise<Identity> {
    this.#obtained ??= (await this.#saved()) ?? (await this.#obtain(open, signal));
    await this.#save();
    return this.#obtained;
  }

  /** What an earlier life of this thread was given: the platform gives it only once. */
  async #saved(): Promise<Identity | undefined> {
    try {
      const text = await readText(this.#path);
      const answer = text === undefined ? undefined : parseObject(text);
      const decoded = answer === undefined ? undefined : decodeAnswer(answer);
      return decoded === undefined ? undefined : this.#identityOf(decoded);
    } catch (error) {
      throw new TransientError(`Cannot read ${this.#path}`, { cause: error });
    }
  }

  async #obtain(open: OpenAs, signal: AbortSignal): Promise<Identity> {
    this.#wish ??= await this.#makeWish();
    const text = await this.#ask(this.#wish, open, signal);
    const answer = parseObject(text);
    if (answer?.["status"] === "SUCCESS") {
      const decoded = decodeAnswer(answer);
      if (decoded !== undefined) {
        return this.#accept(decoded, text);
      }
    }
    if (answer?.["status"] === "FAILURE" && (await this.#isOurs(this.#wish, open))) {
      const kept = { ...this.#wish.answer, status: "SUCCESS" };
      return this.#accept(this.#wish.answer, JSON.stringify(kept));
    }
    throw new TransientError(adviceFor(answer), {
      retryAfterMs: REFUSED_RETRY_MS,
    });
  }

  /** `text` is kept word for word; for a certificate with the CA file that goes with it. */
  #accept(answer: Answer, text: string): Identity {
    const { wanted } = this.#settings.request;
    const caCert = wanted.kind === "certificate" ? wanted.caCert : undefined;
    this.#unsaved = caCert === undefined ? text : JSON.stringify({ ...parseObject(text), caCert });
    this.#host.log.info("The platform has given credentials", { kind: answer.credentialsType });
    return this.#identityOf(answer);
  }

  /** The device exists; whether with what we ask for only a connection tells. */
  async #isOurs(wish: Wish, open: OpenAs): Promise<boolean> {
    try {
      const link = await open(this.#identityOf(wish.answer), SILENT);
      await link.disconnect();
      return true;
    } catch (error) {
      const refused =
        error instanceof TransientError && (error.retryAfterMs ?? 0) >= REFUSED_RETRY_MS;
      if (refused) {
        return false;
      }
      throw error;
    }
  }

  #identityOf(answer: Answer): Identity {
    const { dataDir } = this.#settings;
    switch (answer.credentialsType) {
      case "ACCESS_TOKEN": {
        const { credentialsValue: accessToken } = answer;
        return { credentials: { kind: "accessToken", accessToken }, tls: this.#tls };
      }
      case "MQTT_BASIC": {
        const { clientId, userName, password } = answer.credentialsValue;
        const credentials = {
          kind: "usernamePassword",
          clientId: clientId ?? undefined,
          username: userName ?? undefined,
          password: password ?? undefined,
        } as const;
        return { credentials, tls: this.#tls };
      }
      case "X509_CERTIFICATE": {
        const bare = { caPath: undefined, insecure: false, ...this.#tls };
        const certPath = join(dataDir, CERTIFICATE_FILE);
        const keyPath = join(dataDir, KEY_FILE);
        return { credentials: { kind: "certificate" }, tls: { ...bare, certPath, keyPath } };
      }
    }
  }

  /** Sends the request and resolves with the text of the answer. */
  async #ask(wish: Wish, open: OpenAs, signal: AbortSignal): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    // Nobody may be waiting when the link ends.
    promise.catch(() => undefined);
    const link = await open(
      { credentials: GUEST, tls: this.#tls },
      {
        message: (topic, payload) => {
          if (topic === RESPONSE_TOPIC) {
            resolve(new TextDecoder().decode(payload));
          }
        },
        pong: () => undefined,
        closed: () =>
          reject(new TransientError("The platform closed the connection without an answer")),
      },
    );
    const deadline = this.#host.clock.deadline(ANSWER_TIMEOUT_MS, signal);
    const onAbort = (): void =>
      reject(
        signal.aborted
          ? signal.reason
          : new TransientError("The platform does not answer the provisioning request"),
      );
    deadline.addEventListener("abort", onAbort, { once: true });
    try {
      const granted = await Promise.race([link.subscribe(RESPONSE_TOPIC), promise]);
      if (typeof granted === "number" && granted >= 0x80) {
        throw new TransientError(
          "The server does not know provisioning: it refuses the subscription to the answer",
          { retryAfterMs: REFUSED_RETRY_MS },
        );
      }
      link.publish(REQUEST_TOPIC, wish.message, (code) => {
        if (code >= 0x80) {
          reject(
            new TransientError(
              `The platform refuses the provisioning request: ${reasonText(code)}`,
            ),
          );
        }
      });
      return await promise;
    } finally {
      deadline.removeEventListener("abort", onAbort);
      await link.disconnect();
    }
  }

  /** What to ask for, made once: the files of a certificate first, so that no answer can outrun them. */
  async #makeWish(): Promise<Wish> {
    const { request, dataDir } = this.#settings;
    const answer = wishedCredentials(request.wanted, () => randomLetters(SECRET_LENGTH));
    const certificate =
      answer.credentialsType === "X509_CERTIFICATE" ? await this.#certificate(dataDir) : undefined;
    const deviceName = request.deviceName ?? `Gateway ${randomLetters(5)}`;
    return { message: encodeRequest({ request, deviceName, answer, certificate }), answer };
  }

  async #certificate(dataDir: string): Promise<string> {
    try {
      return (await ownCertificate(dataDir, this.#host.clock.now())).certificate;
    } catch (error) {
      throw new TransientError(`Cannot keep a certificate in ${dataDir}`, { cause: error });
    }
  }

  /** Credentials that cannot be written are used all the same, and written before a later connection. */
  async #save(): Promise<void> {
    if (this.#unsaved === undefined) {
      return;
    }
    const path = this.#path;
    try {
      await writeSecret(path, this.#unsaved);
      this.#unsaved = undefined;
      this.#host.log.info("The credentials are saved", { file: path });
    } catch (error) {
      this.#host.log.error("Cannot save the credentials: a restart would lose them", {
        file: path,
        error,
      });
    }
  }
}

const SILENT: LinkListener = {
  message: () => undefined,
  pong: () => undefined,
  closed: () => undefined,
};

function randomLetters(length: number): string {
  return Array.from({ length }, () => LETTERS.charAt(randomInt(LETTERS.length))).join("");
}
