// `tbgw probe opcua` against a real server.
import { expect, test } from "bun:test";
import opcua from "../../connectors/opcua/connector.ts";
import type { Finding } from "../../src/sdk/connector.ts";
import { encodeJson } from "../../src/sdk/encode.ts";
import { TestHost } from "../support/connector-host.ts";
import { RunningOpcua, readOpcuaConfig } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { rejection } from "../support/rejection.ts";

async function probe(options: Record<string, string>): Promise<readonly Finding[]> {
  await using host = new TestHost();
  const findings: Finding[] = [];
  const signal = new AbortController().signal;
  for await (const finding of opcua.probe?.(options, host.host, signal) ?? []) {
    findings.push(finding);
  }
  return findings;
}

test("endpoints, nodes with their values, and a file that works", async () => {
  await using server = await PlantServer.start();
  const findings = await probe({ target: server.url });
  const texts = findings.map(({ text }) => text);
  expect(texts.some((text) => text.includes("Basic256Sha256, SignAndEncrypt"))).toBe(true);
  expect(texts.some((text) => text.startsWith("Connected. Namespaces: 0 http"))).toBe(true);
  expect(texts).toContain("Objects / Boiler1 (object, ns=2;s=Boiler1)");
  expect(texts).toContain('Objects / Boiler1 / Info / Model (variable, ns=2;i=14) = "BX"');
  expect(texts).toContain("Objects / Boiler1 / Reset (method, ns=2;i=17)");
  expect(texts.some((text) => text.includes("/ Server"))).toBe(false);
  const config = findings.at(-1)?.config ?? null;
  expect(readOpcuaConfig(config).issues).toEqual([]);
  await using running = await RunningOpcua.start(config);
  // Nodes of one name have a device or a key each.
  expect(await running.said("Info", "Model")).toBe("BX");
  expect(await running.said("Boiler2 Info", "Model")).toBe("BY");
  expect(encodeJson(await running.said("Boiler1", "Temperature"))).toBe("81.5");
  expect(encodeJson(await running.said("Boiler1", "3:Temperature"))).toBe("20.0");
  expect(await running.said("Boiler1", "Zone(1)")).toBe(7);
  expect(await running.rpc("Boiler1", "Reset", [2])).toEqual({ result: { result: true } });
});

test("over a secured channel, from another node", async () => {
  await using server = await PlantServer.start();
  const options = { security: "Basic256Sha256", node: "ns=2;s=Boiler2", depth: "1" };
  const texts = (await probe({ target: server.url, ...options })).map(({ text }) => text);
  expect(texts).toContain("Temperature (variable, ns=2;s=B2.T) = 64.0");
});

test.each([
  [{ node: "nonsense" }, "--node nonsense is not a node id"],
  [{ depth: "0" }, "--depth must be a whole number from 1, but is 0"],
  [{ security: "Basic128Rsa15" }, "The server offers no Basic128Rsa15"],
])("%p is refused", async (options, message) => {
  await using server = await PlantServer.start();
  const error = await rejection(probe({ target: server.url, ...options }));
  expect(error.message).toContain(message);
});
