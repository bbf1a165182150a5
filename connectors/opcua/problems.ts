import { DataError } from "#sdk/errors";
import { parseNodeExpression, parseTemplate } from "./node-expression.ts";

/** What is wrong with a text that names one node, or `undefined`. */
export function nodeProblem(text: string): string | undefined {
  return problemOf(() => parseNodeExpression(text));
}

/** What is wrong with a name or profile, or `undefined`. */
export function templateProblem(text: string): string | undefined {
  return problemOf(() => parseTemplate(text));
}

function problemOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof DataError) {
      return error.message;
    }
    throw error;
  }
}
