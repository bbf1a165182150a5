// Evaluated before the package: its classes are decorated when they are defined.
import "reflect-metadata";

export * from "node-opcua-client";
export { InMemoryCertificateKeyPairProvider, InMemoryCertificateStore } from "node-opcua-common";
export { NodeIdType } from "node-opcua-nodeid";
