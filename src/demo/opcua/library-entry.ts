// Evaluated before the packages: some of their classes are decorated when they are defined.
import "reflect-metadata";

export {
  DataType,
  MessageSecurityMode,
  SecurityPolicy,
  StatusCodes,
  setDebugLogger,
  setErrorLogger,
  setWarningLogger,
} from "node-opcua-client";
export { InMemoryCertificateKeyPairProvider, InMemoryCertificateStore } from "node-opcua-common";
export { OPCUAServer, RegisterServerMethod } from "node-opcua-server";
export { standardNodeset } from "./nodeset.ts";
