import type { ClientSession } from "node-opcua-client";
import { assert } from "#sdk/errors";
import { endsSession, toFailure } from "./failures.ts";

type Answered = (error: unknown, response: unknown) => void;

/** What somebody should know about the requests of a session, whoever sent them: of its own Publish requests the stack tells nobody. */
export interface RequestNotes {
  /** An answer means that the session is over. */
  lost(reason: string): void;
  /** Changes came that cannot be decoded: whose they were is unknown. */
  undecodable(): void;
}

/**
 * Lets the requests of a session fail with what the server says, at once. The stack would open another session when the server does not know this one any more,
 * with subscriptions that watch nothing, would keep requests to send them later, and would wait for an answer that has come but cannot be decoded.
 */
export function withoutRepair(session: ClientSession, notes: RequestNotes): void {
  const send: unknown = Reflect.get(session, "_performMessageTransaction");
  assert(typeof send === "function", "the stack sends requests without a repair");
  const waiting = new Map<unknown, Answered>();
  const perform = (request: object, answered: Answered): void => {
    let isAnswered = false;
    const once: Answered = (error, response) => {
      if (isAnswered) {
        return;
      }
      isAnswered = true;
      waiting.delete(handleOf(request, "requestHeader"));
      const failure = error === null || error === undefined ? undefined : toFailure(error, "it");
      if (failure !== undefined && endsSession(failure)) {
        notes.lost(failure.message);
      }
      answered(error, response);
    };
    send.call(session, request, once);
    if (!isAnswered) {
      waiting.set(handleOf(request, "requestHeader"), once);
    }
  };
  Reflect.set(session, "performMessageTransaction", perform);
  onUndecodable(session, (message) => {
    const isPublish = message.constructor.name === "PublishResponse";
    waiting.get(handleOf(message, "responseHeader"))?.(
      new Error("it cannot be decoded"),
      undefined,
    );
    if (isPublish) {
      notes.undecodable();
    }
  });
}

/** Calls `listener` with the beginning of each message that cannot be decoded; the header comes first. */
function onUndecodable(session: ClientSession, listener: (message: object) => void): void {
  const channel = member(member(session, "_client"), "_secureChannel");
  const get = member(channel, "_getMessageBuilder");
  const builder: unknown = typeof get === "function" ? get.call(channel) : undefined;
  const on = member(builder, "on");
  assert(typeof on === "function", "the stack tells of messages that cannot be decoded");
  on.call(builder, "invalid_message", listener);
}

/** The number that a request and its answer have in common. */
function handleOf(message: object, header: "requestHeader" | "responseHeader"): unknown {
  return member(member(message, header), "requestHandle");
}

function member(value: unknown, name: string): unknown {
  return value instanceof Object ? Reflect.get(value, name) : undefined;
}
