import { describe, expect, test } from "bun:test";
import { UsageError } from "../../../src/commands/flags.ts";
import { schemaText } from "../../../src/commands/schema.ts";
import { testConnectors } from "../../support/config-connectors.ts";

describe("schemaText", () => {
  test("of one file is its JSON Schema", async () => {
    expect(JSON.parse(await schemaText("gateway", testConnectors))).toMatchObject({
      $schema: "http://json-schema.org/draft-07/schema#",
      properties: { thingsboard: { properties: { port: { default: 1883 } } } },
    });
  });

  test("of a connector has its own keys and those of every connector file", async () => {
    expect(JSON.parse(await schemaText("bus", testConnectors))).toMatchObject({
      required: ["broker"],
      properties: { devices: { type: "array" }, logLevel: { default: "INFO" } },
    });
  });

  test("without a name is an object with every file", async () => {
    expect(Object.keys(JSON.parse(await schemaText(undefined, testConnectors)))).toEqual([
      "gateway",
      "statistics",
      "filter",
      "logs",
      "connector",
      "bus",
    ]);
  });

  test("of an unknown file is a usage error that names the nearest", async () => {
    const call = schemaText("gatway", testConnectors);
    await expect(call).rejects.toBeInstanceOf(UsageError);
    await expect(call).rejects.toThrow('Did you mean "gateway"?');
  });
});
