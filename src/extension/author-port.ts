import type { Kind } from "./definitions.ts";

/** What an author asks for; done in a thread of its own, so that a file that never comes back can be ended. */
export type AuthorTask = InspectTask | CheckTask | TestTask;

/** Says what a file defines. */
export interface InspectTask {
  readonly kind: "inspect";
  readonly file: string;
  /** `--allow-insecure-extensions`: also what everybody may write to. */
  readonly allowInsecure: boolean;
}
/** Says in words what a file defines, and whether a configuration fits. */
export interface CheckTask {
  readonly kind: "check";
  readonly file: string;
  readonly name: string | undefined;
  readonly config: string | undefined;
  /** As of `InspectTask`. */
  readonly allowInsecure: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}
/** Runs a converter or a method once, a connector for a while, or the tests of a file. */
export interface TestTask extends Omit<CheckTask, "kind"> {
  readonly kind: "test";
  readonly input: string | undefined;
  readonly topic: string | undefined;
  readonly device: string | undefined;
  /** How long a connector runs. */
  readonly seconds: number;
  /** JSON text: one call or a list of them. */
  readonly rpc: string | undefined;
  /** JSON text: one update of attributes or a list of them. */
  readonly attributes: string | undefined;
}

/** What the thread is told. */
export type ToAuthorThread = AuthorTask | { readonly kind: "stop" };

/** What the thread says. */
export type FromAuthorThread =
  | { readonly kind: "alive" }
  | { readonly kind: "out" | "problem"; readonly text: string }
  | { readonly kind: "found"; readonly found: Inspected }
  | { readonly kind: "done"; readonly code: AuthorCode };

/** 0 ok, 1 failed, 2 usage, 3 the configuration does not fit. */
export type AuthorCode = 0 | 1 | 2 | 3;

/** What is known of a file of extensions. */
export interface Inspected {
  readonly sha256: string;
  readonly definitions: readonly {
    readonly kind: Kind;
    readonly type: string;
    readonly name: string | undefined;
  }[];
  readonly problem: string | undefined;
}
