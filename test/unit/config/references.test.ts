import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { isReference, resolveReferences } from "../../../src/config/references.ts";
import { entries, field, formatPath, optional } from "../../../src/sdk/config.ts";
import { ConfigFiles } from "../../support/config-files.ts";

const doc = "x";
const schema = v.looseObject({
  host: optional(v.union([v.string(), v.array(v.string())]), { doc, reference: true }),
  port: field(v.number(), 1, { doc, reference: true }),
  tls: field(v.boolean(), false, { doc, reference: true }),
  topic: optional(v.string(), { doc }),
  password: optional(v.string(), { doc, secret: true, reference: true }),
  nodes: field(
    entries(v.looseObject({ key: optional(v.string(), { doc, secret: true, reference: true }) })),
    [],
    { doc },
  ),
  by: field(
    v.record(v.string(), v.looseObject({ at: optional(v.string(), { doc, reference: true }) })),
    {},
    { doc },
  ),
});

function resolve(value: unknown, env: Record<string, string> = {}, configDir = "/nowhere") {
  const result = resolveReferences(schema, value, { env, configDir });
  const issues = result.issues.map(
    ({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`,
  );
  return { ...result, issues };
}

describe("resolveReferences", () => {
  test("puts variables into texts, lists, elements and tables", () => {
    const value = {
      host: ["${env:A}", "${env:A}.${env:B}"],
      nodes: [{ key: "${env:B}" }],
      by: { x: { at: "${env:A}" } },
    };
    const resolved = resolve(value, { A: "a", B: "b" });
    expect(resolved).toMatchObject({
      value: { host: ["a", "a.b"], nodes: [{ key: "b" }], by: { x: { at: "a" } } },
      issues: [],
    });
  });

  test("gives numbers and truth values where the field wants them", () => {
    const value = { port: "${env:P}", tls: "${env:T}" };
    expect(resolve(value, { P: "1884", T: "true" }).value).toEqual({ port: 1884, tls: true });
    expect(resolve({ port: "${env:P}" }, { P: "x" }).value).toEqual({ port: "x" });
  });

  test("reads a file without its last line break, relative to the configuration directory", () => {
    using files = new ConfigFiles({ token: "a b\n", "deep/x": "\n\n" });
    const value = { password: "${file:token}", host: `\${file:${files.path}/deep/x}` };
    expect(resolve(value, {}, files.path).value).toEqual({ password: "a b", host: "\n" });
  });

  test("what cannot be resolved is an error and its field is left out", () => {
    expect(resolve({ host: "${env:NO}", topic: "t" })).toMatchObject({
      value: { topic: "t" },
      issues: ["error host: ${env:NO}: the environment variable is not set"],
    });
    const missing = resolve({ password: "${file:/nonexistent/x}" });
    expect(missing.value).toEqual({});
    expect(missing.issues.join()).toContain("the file cannot be read");
  });

  test("a file over the limit is refused", () => {
    using files = new ConfigFiles({ big: "x".repeat(65_537) });
    expect(resolve({ host: "${file:big}" }, {}, files.path).issues.join()).toContain("larger than");
  });

  test("stays as it is, with a warning, in a field that takes no references", () => {
    expect(resolve({ topic: "${env:A}" }, { A: "a" })).toMatchObject({
      value: { topic: "${env:A}" },
      issues: ["warning topic: references do not work in this field: the text is taken as it is"],
    });
  });

  test("an unknown field is not looked into", () => {
    expect(resolve({ other: "${env:A}" }, { A: "a" })).toMatchObject({
      value: { other: "${env:A}" },
      issues: [],
    });
  });

  test("a resolved text is not resolved again", () => {
    expect(resolve({ host: "${env:A}" }, { A: "${env:B}", B: "b" }).value).toEqual({
      host: "${env:B}",
    });
  });

  test("collects the values of secret fields, written there or referred to", () => {
    const value = {
      password: "${env:A}",
      host: "${env:B}",
      nodes: [{ key: "plain" }, { key: "" }],
    };
    expect(resolve(value, { A: "s3cret", B: "host" }).secrets).toEqual(["s3cret", "plain"]);
  });

  test("expressions of converters are no references", () => {
    expect(resolve({ host: "${sensor.name}" })).toMatchObject({
      value: { host: "${sensor.name}" },
      issues: [],
    });
  });
});

describe("isReference", () => {
  test("is true only for a text made of references alone", () => {
    expect(isReference("${env:A}")).toBe(true);
    expect(isReference("${env:A}${file:/b}")).toBe(true);
    expect(isReference("a${env:A}")).toBe(false);
    expect(isReference("")).toBe(false);
  });
});
