import { compileArithmetic } from "#sdk/arithmetic";
import { DataError, errorText } from "#sdk/errors";
import { compileExpression } from "#sdk/expression";
import { compilePythonRegex } from "#sdk/python-regex";

/** What is wrong with the tags of a `${…}` text, or `undefined`. */
export function expressionProblem(text: string): string | undefined {
  const { problems } = compileExpression(text);
  return problems.length === 0 ? undefined : problems.join("; ");
}

/** What is wrong with a regular expression in Python's syntax, or `undefined`. */
export function patternProblem(source: string): string | undefined {
  return problemOf(() => compilePythonRegex(source));
}

/** What is wrong with a calculation, or `undefined`. */
export function calculationProblem(source: string): string | undefined {
  return problemOf(() => compileArithmetic(source));
}

/** The names a pattern consists of, such as `firmware` and `a|b`; `undefined` when it is more than that. */
export function literalNames(pattern: string): readonly string[] | undefined {
  const names = pattern.replace(/^\^/, "").replace(/\$$/, "").split("|");
  const plain = names.map((name) => name.replaceAll("\\.", "\u0000"));
  return plain.every((name) => name !== "" && !/[\\^$.*+?()[\]{}]/.test(name))
    ? plain.map((name) => name.replaceAll("\u0000", "."))
    : undefined;
}

function problemOf(compile: () => unknown): string | undefined {
  try {
    compile();
    return undefined;
  } catch (error) {
    if (error instanceof DataError) {
      return errorText(error);
    }
    throw error;
  }
}
