import { hostname } from "node:os";
import type { UAObject, UAVariable } from "node-opcua-address-space";
import type { OPCUAServer, OPCUAServerOptions } from "node-opcua-server";
import type { Clock } from "#sdk/clock";
import { assert } from "#sdk/errors";
import { type Library, loadLibrary } from "./library.ts";
import { FORCE_SETPOINT_KN, pressAt } from "./stroke.ts";

/** How often the sensors of the press are read. */
const SAMPLE_MS = 500;
const APPLICATION_URI = "urn:tbgw:demo:press";
/** Name of the device. */
export const PRESS = "Press 1";
const SERIAL_NUMBER = "HP-2207";

/** The gateway's side of it, as a person would write it. */
export function demoOpcua(url: string): object {
  return {
    // A slow processor takes its time, and it is the same one that serves.
    server: { url, timeoutInMillis: 20_000, identity: { type: "anonymous" } },
    mapping: [
      {
        deviceNodePattern: `Root\\.Objects\\.${PRESS}`,
        deviceInfo: { deviceNameExpression: PRESS, deviceProfileExpression: "Press" },
        attributes: [{ key: "serialNumber", value: "${SerialNumber}" }],
        timeseries: [
          { key: "force", value: "${Force}" },
          { key: "position", value: "${Position}" },
          { key: "oilTemperature", value: "${OilTemperature}" },
          { key: "strokes", value: "${Strokes}" },
          { key: "running", value: "${Running}" },
          { key: "phase", value: "${Phase}" },
          { key: "forceSetpoint", value: "${ForceSetpoint}" },
        ],
        attributes_updates: [{ key: "forceSetpoint", value: "${ForceSetpoint}" }],
        rpc_methods: [{ method: "ResetStrokes", arguments: [] }],
      },
    ],
  };
}

/**
 * A press with an OPC UA server on 127.0.0.1: anonymous, without security, unknown to any discovery server. All it needs is in memory:
 * its certificate, its nodes, whom it trusts.
 */
export class DemoPress implements AsyncDisposable {
  readonly url: string;
  readonly #server: OPCUAServer;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(server: OPCUAServer, port: number, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
    this.url = `opc.tcp://127.0.0.1:${port}/press`;
  }

  /** Listens on `port` of 127.0.0.1 and begins to work. @throws Error when the port is taken */
  static async listen(clock: Clock, port: number): Promise<DemoPress> {
    const library = await loadLibrary();
    quiet(library);
    const provider = new library.InMemoryCertificateKeyPairProvider();
    await provider.ensureCertificateExists({
      applicationUri: APPLICATION_URI,
      subject: "/CN=tbgw demo press",
      dns: [hostname()],
      ip: ["127.0.0.1"],
    });
    const nodeset = await library.standardNodeset();
    const options = serverOptions(port, nodeset, library);
    const server = new library.OPCUAServer({ ...options, certificateKeyPairProvider: provider });
    const press = new DemoPress(server, port, clock);
    try {
      await server.initialize();
      for (const endpoint of server.endpoints) {
        // It would look for files.
        endpoint.setCertificateProvider(provider);
      }
      await server.start();
    } catch (error) {
      await press[Symbol.asyncDispose]();
      throw error;
    }
    press.#loop = press.#work(new PressNodes(server, library));
    return press;
  }

  /** Nothing changes any more; what is there can still be read. */
  async halt(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.halt();
    await this.#server.shutdown(0);
    this.#server.dispose();
  }

  async #work(nodes: PressNodes): Promise<void> {
    const { signal } = this.#stop;
    const startMs = this.#clock.monotonicMs();
    while (!signal.aborted) {
      nodes.show(this.#clock.monotonicMs() - startMs);
      await this.#clock.sleep(SAMPLE_MS, signal).catch(() => undefined); // Told to stop.
    }
  }
}

function serverOptions(port: number, nodeset: string, library: Library): OPCUAServerOptions {
  const options: OPCUAServerOptions = {
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    resourcePath: "/press",
    nodesets: [{ name: "standard nodeset", source: nodeset }],
    // In pieces: others are at work meanwhile.
    nodesetLoaderOptions: { yieldEveryBytes: 32_768 },
    serverInfo: { applicationUri: APPLICATION_URI, productUri: APPLICATION_URI },
    buildInfo: { productName: "tbgw demo press", manufacturerName: "tbgw" },
    securityModes: [library.MessageSecurityMode.None],
    securityPolicies: [library.SecurityPolicy.None],
    registerServerMethod: library.RegisterServerMethod.HIDDEN,
    isAuditing: false,
  };
  // The server takes any store of certificates, its types name the one that is a folder.
  const store = new library.InMemoryCertificateStore();
  const stores = { serverCertificateManager: store, userCertificateManager: store };
  return Object.assign(options, stores);
}

/** The nodes of the press in the server's own namespace. */
class PressNodes {
  readonly #library: Library;
  readonly #press: UAObject;
  readonly #force: UAVariable;
  readonly #position: UAVariable;
  readonly #oilTemperature: UAVariable;
  readonly #strokes: UAVariable;
  readonly #running: UAVariable;
  readonly #phase: UAVariable;
  readonly #setpoint: UAVariable;
  /** Strokes before the counter was last reset. */
  #uncounted = 0;
  #counted = 0;

  constructor(server: OPCUAServer, library: Library) {
    const space = server.engine.addressSpace;
    assert(space !== null, "the server of the demo has no nodes");
    this.#library = library;
    const { DataType } = library;
    this.#press = space.getOwnNamespace().addObject({
      organizedBy: space.rootFolder.objects,
      browseName: PRESS,
      nodeId: "s=Press1",
    });
    this.#force = this.#add("Force", "Double", "kN");
    this.#position = this.#add("Position", "Double", "mm");
    this.#oilTemperature = this.#add("OilTemperature", "Double", "°C");
    this.#strokes = this.#add("Strokes", "Int32");
    this.#running = this.#add("Running", "Boolean");
    this.#phase = this.#add("Phase", "String");
    this.#setpoint = this.#add("ForceSetpoint", "Double", "kN", "CurrentRead | CurrentWrite");
    this.#setpoint.setValueFromSource({ dataType: DataType.Double, value: FORCE_SETPOINT_KN });
    const serial = this.#add("SerialNumber", "String");
    serial.setValueFromSource({ dataType: DataType.String, value: SERIAL_NUMBER });
    this.#addReset();
  }

  /** Sets all sensors to what they say at `elapsedMs` since the start. */
  show(elapsedMs: number): void {
    const { DataType } = this.#library;
    const setpoint: unknown = this.#setpoint.readValue().value.value;
    const state = pressAt(elapsedMs, typeof setpoint === "number" ? setpoint : 0);
    this.#counted = state.strokes;
    const double = (value: number) => ({ dataType: DataType.Double, value });
    this.#force.setValueFromSource(double(state.forceKn));
    this.#position.setValueFromSource(double(state.positionMm));
    this.#oilTemperature.setValueFromSource(double(state.oilTemperatureC));
    const strokes = state.strokes - this.#uncounted;
    this.#strokes.setValueFromSource({ dataType: DataType.Int32, value: strokes });
    this.#running.setValueFromSource({ dataType: DataType.Boolean, value: state.running });
    this.#phase.setValueFromSource({ dataType: DataType.String, value: state.phase });
  }

  #add(
    name: string,
    dataType: "Boolean" | "Double" | "Int32" | "String",
    unit?: string,
    accessLevel = "CurrentRead",
  ): UAVariable {
    return this.#press.namespace.addVariable({
      componentOf: this.#press,
      browseName: name,
      nodeId: `s=Press1.${name}`,
      dataType,
      accessLevel,
      userAccessLevel: accessLevel,
      ...(unit === undefined ? {} : { description: `in ${unit}` }),
    });
  }

  /** A method that sets the counter to 0 and gives what it was. */
  #addReset(): void {
    const { DataType, StatusCodes } = this.#library;
    const reset = this.#press.namespace.addMethod(this.#press, {
      browseName: "ResetStrokes",
      nodeId: "s=Press1.ResetStrokes",
      outputArguments: [{ name: "strokes", dataType: DataType.Int32 }],
    });
    reset.bindMethod((_inputs, _context, callback) => {
      const value = this.#counted - this.#uncounted;
      this.#uncounted = this.#counted;
      const statusCode = StatusCodes.Good;
      callback(null, { statusCode, outputArguments: [{ dataType: DataType.Int32, value }] });
    });
  }
}

/** The stack writes to the console. */
function quiet(library: Library): void {
  const nothing = (): void => undefined;
  library.setWarningLogger(nothing);
  library.setErrorLogger(nothing);
  library.setDebugLogger(nothing);
}
