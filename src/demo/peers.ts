import type { Clock } from "#sdk/clock";
import { errorText, TransientError } from "#sdk/errors";
import { createLogger, type LogSink } from "#sdk/logger";
import { DemoBroker } from "./broker.ts";
import { DeviceSimulation } from "./devices.ts";
import { DemoModbusDevice } from "./modbus-device.ts";
import { DemoPress } from "./opcua/press.ts";
import { ThingsBoardDouble } from "./thingsboard/server.ts";

/** What the peers need of their surroundings. */
export interface PeersOptions {
  readonly clock: Clock;
  readonly sink: LogSink;
  /** Of the platform; the next ones are those of the broker, the Modbus device and the OPC UA server. */
  readonly port: number;
  /** Called with each value that reaches the platform: `Modbus 1 r_0 = 78`. */
  readonly onValue: (text: string) => void;
}

/** Access token of the gateway at the platform. */
export const PEERS_TOKEN = "PRACTICE";
/** Points the stand-in keeps of each series: nobody asks for them. */
const KEPT_POINTS = 10;

/** The demo's platform and devices without a gateway, to practise with: on 127.0.0.1, at known ports, until they are disposed. */
export class DemoPeers implements AsyncDisposable {
  readonly #port: number;
  readonly #resources: AsyncDisposableStack;

  private constructor(port: number, resources: AsyncDisposableStack) {
    this.#port = port;
    this.#resources = resources;
  }

  /** Starts all of them. @throws TransientError when a port is taken */
  static async start({ clock, sink, port, onValue }: PeersOptions): Promise<DemoPeers> {
    await using resources = new AsyncDisposableStack();
    try {
      const platform = resources.use(
        await ThingsBoardDouble.listen({ clock, port, retainSeries: KEPT_POINTS }),
      );
      platform.createGateway("Practice gateway", PEERS_TOKEN);
      platform.onValue(({ device, point }) => onValue(`${device} ${point.key} = ${point.text}`));
      const broker = resources.use(await DemoBroker.listen(port + 1));
      resources.use(await DemoModbusDevice.listen(clock, port + 2));
      resources.use(await DemoPress.listen(clock, port + 3));
      const log = createLogger({ source: "demo", level: "warn", clock, sink });
      resources.use(await DeviceSimulation.start(broker.port, clock, log));
    } catch (error) {
      throw new TransientError(
        `Cannot listen on the ports ${port} to ${port + 3} of 127.0.0.1: ${errorText(error)}; --port takes others`,
        { cause: error },
      );
    }
    return new DemoPeers(port, resources.move());
  }

  /** Where everything is, for a person. */
  describe(): string {
    const at = (offset: number): string => `127.0.0.1:${this.#port + offset}`;
    return [
      "A platform and devices to practise with, until Ctrl-C:",
      `  ThingsBoard stand-in  ${at(0)}   access token ${PEERS_TOKEN}`,
      `  MQTT broker           ${at(1)}   a pump, a meter and a climate sensor publish under plant/`,
      `  Modbus TCP device     ${at(2)}   unit 1, a compressor`,
      `  OPC UA server         opc.tcp://${at(3)}/press   a press`,
      "",
      "Values that reach the platform are shown here. In another terminal:",
      `  tbgw init --config ./config --host 127.0.0.1 --port ${this.#port} --token ${PEERS_TOKEN}`,
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}
