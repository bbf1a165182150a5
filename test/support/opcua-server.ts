import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
import { DataType, Variant, VariantArrayType } from "node-opcua-client";
import { nodesets } from "node-opcua-nodesets";
import { OPCUAServer, type OPCUAServerOptions } from "node-opcua-server";
import { buildPlant, type Plant } from "./opcua-plant.ts";
import { freePort } from "./ports.ts";

/** A real OPC UA server with the plant of the tests; disposing stops it. */
export class PlantServer implements AsyncDisposable {
  readonly server: OPCUAServer;
  readonly port: number;
  readonly #dir: string;
  #plant: Plant | undefined;

  private constructor(port: number, options: OPCUAServerOptions) {
    this.port = port;
    this.#dir = mkdtempSync(join(tmpdir(), "tbgw-opcua-"));
    this.server = new OPCUAServer({
      port,
      hostname: "127.0.0.1",
      resourcePath: "/plant",
      nodeset_filename: [nodesets.standard],
      serverCertificateManager: new OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: true,
        rootFolder: join(this.#dir, "pki"),
      }),
      ...options,
    });
  }

  /** `before` is a namespace that comes before those of the plant. */
  static async start({
    before,
    ...options
  }: OPCUAServerOptions & {
    readonly port?: number;
    readonly before?: string;
  } = {}): Promise<PlantServer> {
    const port = options.port ?? (await freePort());
    const plant = new PlantServer(port, { ...options, port });
    await plant.server.initialize();
    if (before !== undefined) {
      plant.server.engine.addressSpace?.registerNamespace(before);
    }
    plant.#plant = buildPlant(plant.server);
    await plant.server.start();
    return plant;
  }

  get url(): string {
    return `opc.tcp://127.0.0.1:${this.port}/plant`;
  }

  get plant(): Plant {
    if (this.#plant === undefined) {
      throw new Error("the server has not started");
    }
    return this.#plant;
  }

  /** Adds variables `n0`, `n1` … to the first boiler, each with its number as its value. */
  addNumbers(count: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#addNumber(index);
    }
  }

  /** Deletes one of them; it comes back as another node of the same name and id. */
  deleteNumber(index: number): { addAgain(): void } {
    const variable = this.plant.variables.get(`ns=${this.plant.own.index};s=n${index}`);
    const space = this.server.engine.addressSpace;
    if (variable === undefined || space === null) {
      throw new Error(`there is no n${index}`);
    }
    space.deleteNode(variable);
    return { addAgain: () => this.#addNumber(index) };
  }

  /** Changes an Int32. */
  setNumber(nodeId: string, value: number): void {
    const variable = this.plant.variables.get(`ns=${this.plant.own.index};${nodeId}`);
    variable?.setValueFromSource(new Variant({ dataType: DataType.Int32, value }));
  }

  #addNumber(index: number): void {
    const { own, boiler1, variables } = this.plant;
    const variable = own.addVariable({
      componentOf: boiler1,
      browseName: `n${index}`,
      nodeId: `s=n${index}`,
      dataType: "Int32",
    });
    variable.setValueFromSource(
      new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Scalar, value: index }),
    );
    variables.set(`ns=${own.index};s=n${index}`, variable);
  }

  /** What clients watch, also by subscriptions whose session is gone. */
  get watched(): { readonly subscriptions: number; readonly items: number } {
    const { engine } = this.server;
    const orphans: unknown = Reflect.get(engine, "_orphanPublishEngine");
    const orphaned: unknown =
      orphans instanceof Object ? Reflect.get(orphans, "currentMonitoredItemCount") : 0;
    const counts = engine.getSessions().map((session) => session.currentMonitoredItemCount);
    return {
      subscriptions: engine.currentSubscriptionCount,
      items: counts.reduce((sum, count) => sum + count, Number(orphaned)),
    };
  }

  /** Closes all sessions, as a server does that has no time for them; their subscriptions stay, or not. */
  closeSessions({ keepSubscriptions }: { readonly keepSubscriptions: boolean }): void {
    const { engine } = this.server;
    for (const { authenticationToken } of engine.getSessions()) {
      engine.closeSession(authenticationToken, !keepSubscriptions, "Terminated");
    }
  }

  /** The subscriptions say nothing more: no data and no sign of life. */
  silence(): void {
    for (const session of this.server.engine.getSessions()) {
      for (const subscription of session.publishEngine.subscriptions) {
        const stop: unknown = Reflect.get(subscription, "_stop_timer");
        if (typeof stop !== "function") {
          throw new Error("the server's subscriptions have no timer");
        }
        stop.call(subscription);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.shutdown(0);
    this.server.dispose();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
