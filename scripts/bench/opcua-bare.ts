// A bare node-opcua client of its own process that subscribes to everything the simulator has: what the stack costs without us.
import "reflect-metadata";
import {
  AttributeIds,
  ClientSubscription,
  OPCUAClient,
  TimestampsToReturn,
} from "node-opcua-client";

const [url = "", devices = "10", items = "1000"] = process.argv.slice(2);
const client = OPCUAClient.create({ endpointMustExist: false });
await client.connect(url);
const session = await client.createSession();
let values = 0;
for (let device = 0; device < Number(devices); device += 1) {
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 100,
    requestedMaxKeepAliveCount: 20,
    requestedLifetimeCount: 1000,
    maxNotificationsPerPublish: 5000,
    publishingEnabled: true,
  });
  const nodes = Array.from({ length: Number(items) }, (_, item) => ({
    nodeId: `ns=2;s=d${device}.v${item}`,
    attributeId: AttributeIds.Value,
  }));
  const parameters = { samplingInterval: 0, queueSize: 10, discardOldest: true };
  const group = await subscription.monitorItems(nodes, parameters, TimestampsToReturn.Both);
  group.on("changed", () => {
    values += 1;
  });
}
process.on("SIGUSR1", () => console.log(`values ${values}`));
console.log("ready");
