import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import { OPCUACertificateManager } from "node-opcua-certificate-manager";
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.shutdown(0);
    this.server.dispose();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
