import type * as v from "valibot";
import { nearest } from "./nearest.ts";

/**
 * What is wrong with a value, as "must be …, but is …". A schema's own message passes unchanged. The value of a secret
 * field is never part of the text.
 */
export function issueMessage(issue: v.BaseIssue<unknown>, secret: boolean): string {
  if (!issue.message.startsWith("Invalid ")) {
    return issue.message;
  }
  const need = needText(issue);
  const found = secret ? kindOf(issue.input) : describeValue(issue.input);
  if (need === undefined) {
    return `${found} is not valid here`;
  }
  const near = secret ? undefined : nearestOption(issue);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return `must be ${need}, but is ${found}${hint}`;
}

/** A short text of a value for a message: texts over 40 characters, lists and objects are named, not shown. */
export function describeValue(input: unknown): string {
  if (typeof input === "string") {
    return input.length > 40 ? `text of ${input.length} characters` : JSON.stringify(input);
  }
  return typeof input === "number" || typeof input === "boolean" ? String(input) : kindOf(input);
}

function kindOf(input: unknown): string {
  if (Array.isArray(input)) {
    return "a list";
  }
  const names: Readonly<Record<string, string>> = {
    string: "text",
    number: "a number",
    boolean: "true or false",
    object: input === null ? "null" : "an object",
    undefined: "missing",
  };
  return names[typeof input] ?? typeof input;
}

/** Of a choice between texts, the one that was probably meant. */
function nearestOption(issue: v.BaseIssue<unknown>): string | undefined {
  const options = issue.kind === "schema" ? (issue.expected?.match(/"[^"]*"/g) ?? []) : [];
  return typeof issue.input === "string"
    ? nearest(JSON.stringify(issue.input), options)
    : undefined;
}

/** Texts of what valibot calls "expected", where its own word says too little to a reader of a JSON file. */
const NEEDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  Object: "an object",
  Array: "a list",
  integer: "a whole number",
  regex: "text of the right form",
};

function needText(issue: v.BaseIssue<unknown>): string | undefined {
  if (issue.kind === "validation") {
    const limit = issue.expected ?? "";
    if (/length|size|entries|bytes|graphemes/.test(issue.type)) {
      return limit === ""
        ? undefined
        : `of length ${limit.replace(/^>=/, "at least ").replace(/^<=/, "at most ")}`;
    }
    return (
      NEEDS[issue.type] ??
      (limit === "" ? undefined : limit.replace(/^>=/, "at least ").replace(/^<=/, "at most "))
    );
  }
  if (issue.expected === null) {
    return undefined;
  }
  const options = issue.expected.replace(/^\((.*)\)$/s, "$1").split(" | ");
  return [...new Set(options.map((option) => NEEDS[option] ?? option))].join(" or ");
}
