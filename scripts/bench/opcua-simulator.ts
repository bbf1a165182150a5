// An OPC UA server of its own process: DEVICES objects with ITEMS doubles each, all of which change every PERIOD ms until SIGUSR1. Says its port, when a session begins, on SIGUSR2 how many rounds there were, and at the end the
// last one.
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
  serverCapabilities: {
    maxMonitoredItemsPerSubscription: 1_000_000,
    maxMonitoredItems: 1_000_000,
    maxSubscriptionsPerSession: 100,
    // Else the server folds changes of a node within 50 ms, also those that only its own delay has brought together, and says nothing.
    minSupportedSampleRate: 0,
  },
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
server.on("create_session", () => console.log(`session ${systemClock.now()}`));
await server.start();
const over = new AbortController();
process.on("SIGUSR1", () => over.abort());
let round = 0;
process.on("SIGUSR2", () => console.log(`at ${round}`));
console.log(`port ${port}`);
while (!over.signal.aborted) {
  round += 1;
  await systemClock.sleep(periodMs, new AbortController().signal);
  for (const variable of variables) {
    variable?.setValueFromSource(new Variant({ dataType: DataType.Double, value: round + 0.25 }));
  }
}
console.log(`round ${round}`);
await new Promise<never>(() => undefined);
