import type { ClientSession } from "node-opcua-client";
import { assert } from "#sdk/errors";
import { endsSession, toFailure } from "./failures.ts";

type Answered = (error: unknown, response: unknown) => void;

/**
 * Lets the requests of a session fail with what the server says. The stack would open another session when the server does not know this one any more, with
 * subscriptions that watch nothing, and would keep requests to send them later. `onLost` is called when an answer means that the session is over, whoever asked:
 * of its own Publish requests the stack tells nobody.
 */
export function withoutRepair(session: ClientSession, onLost: (reason: string) => void): void {
  const send: unknown = Reflect.get(session, "_performMessageTransaction");
  assert(typeof send === "function", "the stack sends requests without a repair");
  const perform = (request: unknown, answered: Answered): void => {
    const look: Answered = (error, response) => {
      const failure = error === null || error === undefined ? undefined : toFailure(error, "it");
      if (failure !== undefined && endsSession(failure)) {
        onLost(failure.message);
      }
      answered(error, response);
    };
    send.call(session, request, look);
  };
  Reflect.set(session, "performMessageTransaction", perform);
}
