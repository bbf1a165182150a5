// Evaluated before the package: its classes are decorated when they are defined.
import "reflect-metadata";
import { acceptNullStructures } from "./null-structures.ts";

export * from "node-opcua-client";
export { InMemoryCertificateKeyPairProvider, InMemoryCertificateStore } from "node-opcua-common";
export { NodeIdType } from "node-opcua-nodeid";

acceptNullStructures();
