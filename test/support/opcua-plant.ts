import "reflect-metadata";
import type { Namespace, UAObject, UAVariable } from "node-opcua-address-space";
import { DataType, StatusCodes, Variant, VariantArrayType } from "node-opcua-client";
import type { OPCUAServer } from "node-opcua-server";

/** When the values of the plant were taken. */
export const T_TEMPERATURE = new Date("2026-03-01T10:00:00.250Z");
export const T_RUNNING = new Date("2026-03-01T10:00:00.000Z");

/** The variables of the plant that tests change, by the name of their node id. */
export interface Plant {
  readonly boiler1: UAObject;
  readonly boiler2: UAObject;
  readonly own: Namespace;
  readonly other: Namespace;
  readonly variables: Map<string, UAVariable>;
}

/** Builds two boilers and a line: every kind of node id, the same name in two namespaces, odd names, a method. */
export function buildPlant(server: OPCUAServer): Plant {
  const space = server.engine.addressSpace;
  if (space === null) {
    throw new Error("the server has no address space");
  }
  // Index 1 is the server's own.
  const own = space.registerNamespace("urn:plant");
  const other = space.registerNamespace("urn:vendor");
  const { objects } = space.rootFolder;
  const variables = new Map<string, UAVariable>();
  const object = (name: string, nodeId: string, parent: UAObject, namespace = own): UAObject =>
    namespace.addObject({ organizedBy: parent, browseName: name, nodeId });
  const boiler1 = object("Boiler1", "s=Boiler1", objects);
  const add = (
    parent: UAObject,
    [name, nodeId]: readonly [string, string],
    value: {
      readonly dataType: DataType;
      readonly value: unknown;
      readonly arrayType?: VariantArrayType;
      readonly dimensions?: number[];
    },
    options: { readonly namespace?: Namespace; readonly at?: Date } = {},
  ): void => {
    const namespace = options.namespace ?? own;
    const isArray = value.arrayType !== undefined && value.arrayType !== VariantArrayType.Scalar;
    const variable = namespace.addVariable({
      componentOf: parent,
      browseName: name,
      nodeId,
      dataType: DataType[value.dataType],
      valueRank: isArray ? (value.dimensions?.length ?? 1) : -1,
      ...(value.dimensions === undefined ? {} : { arrayDimensions: value.dimensions }),
      accessLevel: "CurrentRead | CurrentWrite",
      userAccessLevel: "CurrentRead | CurrentWrite",
    });
    variable.setValueFromSource(
      new Variant({ arrayType: VariantArrayType.Scalar, ...value }),
      StatusCodes.Good,
      options.at ?? T_TEMPERATURE,
    );
    variables.set(`ns=${namespace.index};${nodeId}`, variable);
  };
  add(boiler1, ["Temperature", "s=B1.T"], { dataType: DataType.Double, value: 81.5 });
  add(boiler1, ["Running", "i=11"], { dataType: DataType.Boolean, value: true }, { at: T_RUNNING });
  add(boiler1, ["SerialNumber", "i=12"], { dataType: DataType.String, value: "SN-001" });
  const info1 = object("Info", "i=13", boiler1);
  add(info1, ["Model", "i=14"], { dataType: DataType.String, value: "BX" });
  add(info1, ["Level [%]", "i=15"], { dataType: DataType.Float, value: 12.5 });
  add(
    boiler1,
    ["Temperature", "i=1"],
    { dataType: DataType.Double, value: 20 },
    { namespace: other },
  );
  add(boiler1, ["Zone(1)", "i=16"], { dataType: DataType.Int32, value: 7 });
  add(boiler1, ["Status", "i=18"], {
    dataType: DataType.LocalizedText,
    value: { locale: "en", text: "Running" },
  });
  add(boiler1, ["Int\\State", "i=19"], { dataType: DataType.Int32, value: -1 });
  const reset = own.addMethod(boiler1, {
    browseName: "Reset",
    nodeId: "i=17",
    inputArguments: [{ name: "mode", dataType: DataType.Int16 }],
    outputArguments: [{ name: "done", dataType: DataType.Boolean }],
  });
  reset.bindMethod((inputs, _context, callback) => {
    const isReset = inputs[0]?.value === 2;
    callback(null, {
      statusCode: StatusCodes.Good,
      outputArguments: [new Variant({ dataType: DataType.Boolean, value: isReset })],
    });
  });
  const boiler2 = object("Boiler2", "s=Boiler2", objects);
  add(boiler2, ["Temperature", "s=B2.T"], { dataType: DataType.Double, value: 64 });
  add(boiler2, ["SerialNumber", "i=22"], { dataType: DataType.String, value: "SN-002" });
  const info2 = object("Info", "i=23", boiler2);
  add(info2, ["Model", "i=24"], { dataType: DataType.String, value: "BY" });
  const line = object("Line A", "g=018dd02c-fd22-754a-b6d3-5fcae91cd39d", objects, other);
  add(
    line,
    ["Speed", "b=U3BlZWQ="],
    { dataType: DataType.Int64, value: [0x20_0000, 1] },
    { namespace: other },
  );
  return { boiler1, boiler2, own, other, variables };
}
