// An OPC UA server of its own process: DEVICES objects with ITEMS doubles each, all of which change every PERIOD ms until SIGUSR1. Says its port, and then the last change.
import "reflect-metadata";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { DataType, Variant } from "node-opcua-client";
import { nodesets } from "node-opcua-nodesets";
import { OPCUAServer } from "node-opcua-server";
import { systemClock } from "../../src/sdk/clock.ts";
import { freePort } from "../../test/support/ports.ts";

const [devices = 10, items = 1000, periodMs = 1000] = process.argv.slice(2).map(Number);
const port = await freePort();
const server = new OPCUAServer({
  port,
  hostname: "127.0.0.1",
  nodeset_filename: [nodesets.standard],
  serverCertificateManager: new OPCUACertificateManager({
    automaticallyAcceptUnknownCertificate: true,
    rootFolder: mkdtempSync(join(tmpdir(), "tbgw-simulator-")),
  }),
  serverCapabilities: { maxMonitoredItemsPerSubscription: 1_000_000, maxMonitoredItems: 1_000_000 },
});
await server.initialize();
const space = server.engine.addressSpace;
const own = space?.registerNamespace("urn:scale");
const variables = Array.from({ length: devices }, (_, device) => {
  const object = own?.addObject({
    organizedBy: space?.rootFolder.objects ?? "i=85",
    browseName: `Device${device}`,
  });
  return Array.from({ length: items }, (__, item) =>
    own?.addVariable({
      componentOf: object ?? "i=85",
      browseName: `v${item}`,
      nodeId: `s=d${device}.v${item}`,
      dataType: "Double",
      value: { dataType: DataType.Double, value: 0.25 },
    }),
  );
}).flat();
await server.start();
console.log(`port ${port}`);
const over = new AbortController();
process.on("SIGUSR1", () => over.abort());
let round = 0;
while (!over.signal.aborted) {
  round += 1;
  await systemClock.sleep(periodMs, new AbortController().signal);
  for (const variable of variables) {
    variable?.setValueFromSource(new Variant({ dataType: DataType.Double, value: round + 0.25 }));
  }
}
console.log(`round ${round}`);
await new Promise<never>(() => undefined);
