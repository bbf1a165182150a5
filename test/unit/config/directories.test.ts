import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { findConfig, findDataDir } from "../../../src/config/directories.ts";
import { ConfigError } from "../../../src/sdk/errors.ts";
import { ConfigFiles } from "../../support/config-files.ts";

describe("findConfig", () => {
  test("takes the first directory of the list that contains the main file", () => {
    using files = new ConfigFiles({ "b/tb_gateway.yaml": "", "c/tb_gateway.json": {} });
    const choice = { env: {}, cwd: files.path, searched: ["./a", "./b", "./c"] };
    expect(findConfig(choice)).toEqual({
      configDir: join(files.path, "b"),
      mainFile: join(files.path, "b/tb_gateway.yaml"),
    });
  });

  test("prefers tb_gateway.json to tb_gateway.yaml", () => {
    using files = new ConfigFiles({ "tb_gateway.yaml": "", "tb_gateway.json": {} });
    const { mainFile } = findConfig({ env: {}, cwd: files.path, configDir: "." });
    expect(mainFile).toBe(join(files.path, "tb_gateway.json"));
  });

  test("--config goes before the variable, the variable before the list", () => {
    using files = new ConfigFiles({ "a/tb_gateway.json": {}, "b/tb_gateway.json": {} });
    const base = { env: { TB_GW_CONFIG_DIR: "a" }, cwd: files.path, searched: ["b"] };
    expect(findConfig(base).configDir).toBe(join(files.path, "a"));
    expect(findConfig({ ...base, configDir: "b" }).configDir).toBe(join(files.path, "b"));
  });

  test("a directory that was given without a main file is never passed over", () => {
    using files = new ConfigFiles({ "a/other.json": {}, "b/tb_gateway.json": {} });
    const base = { env: {}, cwd: files.path, searched: ["b"] };
    expect(() => findConfig({ ...base, configDir: "a" })).toThrow("without tb_gateway.json");
    expect(() => findConfig({ ...base, configDir: "z" })).toThrow("that is not there");
    expect(() => findConfig({ ...base, configDir: "a/other.json" })).toThrow("not a file");
    expect(() => findConfig({ ...base, env: { TB_GW_CONFIG_DIR: "a" } })).toThrow(ConfigError);
  });

  test("an empty variable counts as not set", () => {
    using files = new ConfigFiles({ "b/tb_gateway.json": {} });
    const choice = { env: { TB_GW_CONFIG_DIR: "" }, cwd: files.path, searched: ["b"] };
    expect(findConfig(choice).configDir).toBe(join(files.path, "b"));
  });

  test("names the places when there is nothing in any of them", () => {
    using files = new ConfigFiles();
    expect(() => findConfig({ env: {}, cwd: files.path, searched: ["x", "y"] })).toThrow("x, y");
  });
});

describe("findDataDir", () => {
  test("--data, then TBGW_DATA_DIR, then the first of STATE_DIRECTORY", () => {
    const env = { TBGW_DATA_DIR: "/b", STATE_DIRECTORY: "/c:/d" };
    expect(findDataDir({ env, cwd: "/w", dataDir: "a" })).toBe("/w/a");
    expect(findDataDir({ env, cwd: "/w" })).toBe("/b");
    expect(findDataDir({ env: { STATE_DIRECTORY: "/c:/d" }, cwd: "/w" })).toBe("/c");
  });

  test("without any, the system's directory or ./data", () => {
    expect(["/var/lib/tbgw", "/w/data"]).toContain(findDataDir({ env: {}, cwd: "/w" }));
  });
});
