import { createHash } from "node:crypto";
import type { HttpReply } from "#platform/server";

/** Of every reply: nothing of it is kept, guessed at, or shown inside another page. */
const COMMON = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
} as const;

/** Nothing may be loaded, run or sent from a reply. */
const NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** A reply of plain text. */
export function textReply(status: number, text: string): HttpReply {
  return reply(status, "text/plain; charset=utf-8", `${text}\n`);
}

/** A reply of JSON. */
export function jsonReply(status: number, value: unknown): HttpReply {
  return reply(status, "application/json", `${JSON.stringify(value)}\n`);
}

/** A reply of any other kind of text. */
export function reply(status: number, contentType: string, body: string): HttpReply {
  const headers = { ...COMMON, "content-type": contentType, "content-security-policy": NOTHING };
  return { status, headers, body };
}

/** A page with one style sheet inside and no script. */
export interface Page {
  readonly html: string;
  /** The text between `<style>` and `</style>`. */
  readonly style: string;
}

/** A page; the browser takes its own style and nothing else. */
export function htmlReply({ html, style }: Page): HttpReply {
  const { headers, ...rest } = reply(200, "text/html; charset=utf-8", html);
  const hash = createHash("sha256").update(style).digest("base64");
  const policy = `${NOTHING}; style-src 'sha256-${hash}'`;
  return { ...rest, headers: { ...headers, "content-security-policy": policy } };
}
