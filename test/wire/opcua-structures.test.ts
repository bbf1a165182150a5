// Values of an OPC UA server that nobody can decode: they cost only themselves.
import { expect, test } from "bun:test";
import {
  DataChangeNotification,
  DataType,
  DataValue,
  NodeId,
  PublishResponse,
  ReadResponse,
  Variant,
  VariantArrayType,
} from "node-opcua-client";
import { OpaqueStructure } from "node-opcua-extension-object";
import { NodeIdType } from "node-opcua-nodeid";
import { encodeJson } from "../../src/sdk/encode.ts";
import { RunningOpcua } from "../support/opcua-connector.ts";
import { PlantServer } from "../support/opcua-server.ts";
import { until } from "../support/until.ts";

/** A type that the server does not describe. */
const UNKNOWN_TYPE = new NodeId(NodeIdType.NUMERIC, 5000, 2);

/** A structure as its bytes; `null` is the body of a null ByteString, as some servers write "no value". */
class RawStructure extends OpaqueStructure {
  /** The server copies a value with the constructor of its class. */
  constructor(body: Buffer | null | RawStructure) {
    // The type of the package knows only bodies that are there.
    const bytes = (body instanceof RawStructure ? body.buffer : body) as Buffer;
    super(UNKNOWN_TYPE, bytes);
  }
}

/** Adds variables with structures: a body that nobody knows, none at all, and a list of both. */
function addStructures(server: PlantServer): void {
  const { own, boiler1 } = server.plant;
  const unknown = new RawStructure(Buffer.from([1, 2, 255]));
  const empty = new RawStructure(null);
  for (const [name, value] of [
    ["Unknown", unknown],
    ["Empty", empty],
    ["List", [unknown, empty]],
  ] as const) {
    const isList = Array.isArray(value);
    const arrayType = isList ? VariantArrayType.Array : VariantArrayType.Scalar;
    const variant = new Variant({ dataType: DataType.ExtensionObject, arrayType, value });
    const sourceTimestamp = new Date();
    own.addVariable({
      componentOf: boiler1,
      browseName: name,
      nodeId: `s=${name}`,
      dataType: "Structure",
      valueRank: isList ? 1 : -1,
      minimumSamplingInterval: 100,
      value: { timestamped_get: () => new DataValue({ value: variant, sourceTimestamp }) },
    });
  }
}

/** Adds a matrix, and lets the server send it with dimensions that are not those of its values: nobody can decode such a message. */
function addTornMatrix(server: PlantServer): void {
  const { own, boiler1 } = server.plant;
  const variable = own.addVariable({
    componentOf: boiler1,
    browseName: "Torn",
    nodeId: "s=Torn",
    dataType: "Int32",
    valueRank: 2,
    arrayDimensions: [2, 2],
  });
  variable.setValueFromSource(
    new Variant({
      dataType: DataType.Int32,
      arrayType: VariantArrayType.Matrix,
      dimensions: [2, 2],
      value: Int32Array.of(1, 2, 3, 4),
    }),
  );
  const tear = ({ value }: DataValue): void => {
    if (value.arrayType === VariantArrayType.Matrix) {
      value.dimensions = [2, 3];
    }
  };
  server.server.on("response", (response) => {
    if (response instanceof ReadResponse) {
      response.results?.forEach(tear);
    } else if (response instanceof PublishResponse) {
      for (const data of response.notificationMessage.notificationData ?? []) {
        const items = data instanceof DataChangeNotification ? data.monitoredItems : null;
        items?.forEach((item) => tear(item.value));
      }
    }
  });
}

test.each([
  ["read", false],
  ["watched", true],
])(
  "a message that cannot be decoded costs only its node, %s",
  async (_name, isWatched) => {
    await using server = await PlantServer.start();
    server.addNumbers(30);
    addTornMatrix(server);
    const names = ["Torn", ...Array.from({ length: 30 }, (_, index) => `n${index}`)];
    await using running = await RunningOpcua.start({
      server: { url: server.url, enableSubscriptions: isWatched, pollPeriodInMillis: 100 },
      mapping: [
        {
          deviceNodePattern: "ns=2;s=Boiler1",
          deviceInfo: { deviceNameExpression: "B1" },
          timeseries: names.map((key) => ({ key, value: `\${${key}}` })),
        },
      ],
    });
    for (const name of names.slice(1)) {
      expect(await running.said("B1", name)).toBe(Number(name.slice(1)));
    }
    // Also what changes afterwards.
    for (const value of [100, 101]) {
      server.setNumber("s=n7", value);
      await until("a change", () => running.latest("B1", "n7") === value);
    }
    await until("the node is said", () =>
      running.host.lines.some(
        ({ message, fields }) => message === "A node has no good value" && fields["key"] === "Torn",
      ),
    );
    expect(running.latest("B1", "Torn")).toBeUndefined();
    expect(running.host.statuses.filter(({ status }) => status !== "connected")).toHaveLength(1);
  },
  30_000,
);

test.each([
  ["read", false],
  ["watched", true],
])(
  "structures that cannot be decoded are %s with the others",
  async (_name, isWatched) => {
    await using server = await PlantServer.start();
    addStructures(server);
    const names = ["Zone(1)", "Unknown", "Empty", "List", "Running"];
    await using running = await RunningOpcua.start({
      server: { url: server.url, enableSubscriptions: isWatched, pollPeriodInMillis: 50 },
      mapping: [
        {
          deviceNodePattern: "ns=2;s=Boiler1",
          deviceInfo: { deviceNameExpression: "B1" },
          timeseries: names.map((key) => ({ key, value: `\${${key}}` })),
        },
      ],
    });
    const body = '{"typeId":"ns=2;i=5000","body":"0102ff"}';
    expect(encodeJson(await running.said("B1", "Unknown"))).toBe(body);
    expect(encodeJson(await running.said("B1", "List"))).toBe(`[${body},null]`);
    expect(await running.said("B1", "Running")).toBe(true);
    const zone = server.plant.variables.get("ns=2;i=16");
    zone?.setValueFromSource(new Variant({ dataType: DataType.Int32, value: 8 }));
    await until("a change", () => running.latest("B1", "Zone(1)") === 8);
    expect(running.latest("B1", "Empty")).toBeUndefined();
    expect(running.host.rejections.get("no-value")).toBeGreaterThan(0);
    expect(running.host.statuses.filter(({ status }) => status !== "connected")).toHaveLength(1);
  },
  30_000,
);
