import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { ThingsBoardDouble } from "../../src/demo/thingsboard/server.ts";
import { systemClock } from "../../src/sdk/clock.ts";
import { type GatewayFiles, GatewayProcess } from "./gateway-process.ts";
import { Mosquitto } from "./mosquitto.ts";
import { until } from "./until.ts";

/** How long a test with a gateway of its own may take. */
export const TIMEOUT_MS = 90_000;
/** Where a gateway keeps its devices, in its data directory. */
export const DEVICES_FILE = "connected_devices.json";

/** Calls and attributes of a Python gateway's file: a device answers what it is asked, and gets attributes on a topic of its own. */
const REQUESTS = {
  serverSideRpc: [
    {
      deviceNameFilter: ".*",
      methodFilter: "echo",
      requestTopicExpression: "plant/${deviceName}/request/${requestId}",
      responseTopicExpression: "plant/${deviceName}/response/${requestId}",
      responseTimeout: 10_000,
      valueExpression: "${params}",
    },
  ],
  attributeUpdates: [
    {
      deviceNameFilter: ".*",
      attributeFilter: ".*",
      topicExpression: "plant/${deviceName}/attributes",
      valueExpression: '{"${attributeKey}":${attributeValue}}',
    },
  ],
};

/** A platform, a broker with devices that answer, and a gateway that has yet to be started. */
export class DeviceScene implements AsyncDisposable {
  readonly platform: ThingsBoardDouble;
  readonly gateway: GatewayProcess;
  readonly broker: Mosquitto;
  /** Attributes that devices got, as `device payload`. */
  readonly attributes: string[] = [];
  readonly #resources: AsyncDisposableStack;
  readonly #devices: Awaited<ReturnType<typeof connectAsync>>;

  private constructor(
    resources: AsyncDisposableStack,
    parts: Pick<DeviceScene, "platform" | "gateway" | "broker">,
    devices: Awaited<ReturnType<typeof connectAsync>>,
  ) {
    this.#resources = resources;
    this.platform = parts.platform;
    this.gateway = parts.gateway;
    this.broker = parts.broker;
    this.#devices = devices;
    devices.on("message", (topic, message) => {
      const payload = message.toString();
      const [, device = "", kind, id] = topic.split("/");
      if (kind === "request") {
        devices.publish(`plant/${device}/response/${id}`, JSON.stringify(`${device}: ${payload}`));
      } else {
        this.attributes.push(`${device} ${payload}`);
      }
    });
  }

  static async open(thingsboard: GatewayFiles["thingsboard"] = {}): Promise<DeviceScene> {
    await using resources = new AsyncDisposableStack();
    const platform = resources.use(await ThingsBoardDouble.listen({ clock: systemClock }));
    platform.createGateway("gateway", { type: "ACCESS_TOKEN", token: "GATEWAY_TOKEN" });
    const broker = resources.use(await Mosquitto.start());
    const devices = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
    resources.defer(() => devices.endAsync());
    await devices.subscribeAsync(["plant/+/request/+", "plant/+/attributes"]);
    const gateway = resources.use(
      await GatewayProcess.create({
        platformPort: platform.port,
        brokerPort: broker.port,
        thingsboard,
        mqtt: { requestsMapping: REQUESTS },
      }),
    );
    return new DeviceScene(resources.move(), { platform, gateway, broker }, devices);
  }

  /** Starts the gateway; resolves when it has reached its broker. */
  async start(): Promise<void> {
    const links = (): number => this.gateway.output.match(/Link is up.*broker/g)?.length ?? 0;
    const before = links();
    this.gateway.start();
    await until("it reached its broker", () => links() > before);
  }

  /** One message of a device; resolves when the broker has it. */
  async measure(device: string, seq: number): Promise<void> {
    const payload = `{"seq":${seq},"value":1}`;
    await this.#devices.publishAsync(`plant/${device}/data`, payload, { qos: 1 });
  }

  /** The sequence of a device as it arrived. */
  sequence(name: string): readonly string[] {
    return this.platform.series(name, "seq").map(({ text }) => text);
  }

  async arrived(name: string, seq: number): Promise<void> {
    await this.platform.until(() => this.sequence(name).includes(String(seq)), TIMEOUT_MS);
  }

  /** Devices that have a session on the platform. */
  get announced(): readonly string[] {
    return this.platform.sessions()[0]?.children ?? [];
  }

  /** The file of the devices; undefined while there is none. */
  async file(): Promise<Record<string, Record<string, unknown>> | undefined> {
    const path = join(this.gateway.dir, "data", DEVICES_FILE);
    return existsSync(path) ? JSON.parse(await readFile(path, "utf8")) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
