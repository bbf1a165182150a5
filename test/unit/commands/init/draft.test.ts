import { describe, expect, test } from "bun:test";
import {
  allFiles,
  type Draft,
  EMPTY_DRAFT,
  freeConnectorName,
  withConnector,
  withPlatform,
  withStorage,
} from "../../../../src/commands/init/draft.ts";
import { platformJson } from "../../../../src/commands/init/platform-json.ts";

const PLACE = { host: "tb", port: 1883, tls: false, ca: "", insecure: false } as const;

describe("a draft", () => {
  test("has the main file last, because it makes the others count", () => {
    const draft = withConnector(EMPTY_DRAFT, { type: "mqtt", name: "A", config: {} });
    expect(allFiles(draft).map(({ name }) => name)).toEqual(["mqtt.json", "tb_gateway.json"]);
  });

  test("gives each connector a file and a name that are free", () => {
    let draft: Draft = { ...EMPTY_DRAFT, kept: ["mqtt.json"] };
    for (const name of ["Plant", freeConnectorName(draft, "Plant")]) {
      draft = withConnector(draft, { type: "mqtt", name, config: {} });
    }
    expect(draft.files.map(({ name }) => name)).toEqual(["mqtt-2.json", "mqtt-3.json"]);
    expect(freeConnectorName(draft, "Plant")).toBe("Plant 2");
  });

  test("keeps everything of the main file that the answers are not about", () => {
    const main = {
      thingsboard: { host: "old", security: { accessToken: "t" }, qos: 1 },
      storage: { type: "memory" },
      grpc: { enabled: false },
    };
    const credentials = { kind: "token", token: "n" } as const;
    const draft = withStorage(
      withPlatform({ ...EMPTY_DRAFT, main }, platformJson({ ...PLACE, credentials })),
      { maxBytes: 1 },
    );
    expect(draft.main).toEqual({
      thingsboard: {
        host: "tb",
        port: 1883,
        security: { type: "accessToken", accessToken: "n" },
        qos: 1,
      },
      storage: { maxBytes: 1 },
      grpc: { enabled: false },
    });
  });
});

describe("platformJson()", () => {
  test("writes each kind of credentials as the gateway reads it, and nothing that is empty", () => {
    const user = { kind: "user", username: "u", password: "", clientId: "c" } as const;
    expect(platformJson({ ...PLACE, credentials: user })).toEqual({
      host: "tb",
      port: 1883,
      security: { type: "usernamePassword", username: "u", clientId: "c" },
    });
    const certificate = { kind: "certificate", cert: "/c", key: "/k" } as const;
    expect(
      platformJson({ ...PLACE, port: 8883, tls: true, ca: "/ca", credentials: certificate }),
    ).toEqual({
      host: "tb",
      port: 8883,
      security: {
        type: "x509Certificate",
        cert: "/c",
        privateKey: "/k",
        tls: true,
        caCert: "/ca",
      },
    });
    const provisioning = {
      kind: "provisioning",
      deviceKey: "k",
      deviceSecret: "s",
      deviceName: "",
      type: "ACCESS_TOKEN",
    } as const;
    expect(platformJson({ ...PLACE, credentials: provisioning })).toEqual({
      host: "tb",
      port: 1883,
      provisioning: {
        type: "ACCESS_TOKEN",
        provisionDeviceKey: "k",
        provisionDeviceSecret: "s",
      },
    });
  });
});
