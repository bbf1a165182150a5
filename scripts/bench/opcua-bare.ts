// A bare node-opcua client of its own process that subscribes to everything the simulator has: what the stack costs without us. It asks for the same as the connector: the same number of subscriptions, the
// same parameters; and it looks at each value, as whoever wants one must.
import "reflect-metadata";
import {
  AttributeIds,
  ClientSubscription,
  OPCUAClient,
  TimestampsToReturn,
} from "node-opcua-client";
import { partsOf } from "../../connectors/opcua/limits.ts";
import { Rounds } from "./opcua-rounds.ts";

/** Items of one subscription, as the connector has them. */
const MAX_ITEMS = 5000;

const [url = "", devices = "10", items = "1000"] = process.argv.slice(2);
const client = OPCUAClient.create({ endpointMustExist: false });
await client.connect(url);
const session = await client.createSession();
const rounds = new Rounds();
let overflows = 0;
const nodes = Array.from({ length: Number(devices) }, (_, device) =>
  Array.from({ length: Number(items) }, (__, item) => ({
    nodeId: `ns=2;s=d${device}.v${item}`,
    attributeId: AttributeIds.Value,
  })),
).flat();
for (const [part, some] of partsOf(nodes, MAX_ITEMS).entries()) {
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 100,
    requestedMaxKeepAliveCount: 20,
    requestedLifetimeCount: 1000,
    maxNotificationsPerPublish: 5000,
    publishingEnabled: true,
  });
  const parameters = { samplingInterval: 0, queueSize: 10, discardOldest: true };
  const group = await subscription.monitorItems([...some], parameters, TimestampsToReturn.Both);
  group.on("changed", (_, { value, statusCode }, index) => {
    rounds.take(part * MAX_ITEMS + index, value.value);
    overflows += statusCode.hasOverflowBit ? 1 : 0;
  });
}
process.on("SIGUSR1", () => {
  const { count, lost, gaps } = rounds;
  console.log(`counts ${JSON.stringify({ count, lost, gaps, overflows })}`);
});
console.log("ready");
