/** The main file of a gateway that is measured: one connector, with its file beside it, and nothing that is not asked for. */
export function mainFile(type: "modbus" | "opcua", platformPort: number): object {
  return {
    thingsboard: {
      host: "127.0.0.1",
      port: platformPort,
      remoteConfiguration: false,
      security: { accessToken: "GATEWAY_TOKEN" },
      statistics: { enable: false },
    },
    storage: { type: "sqlite" },
    connectors: [{ type, name: "Plant", configuration: `${type}.json` }],
    tbgw: { web: { enabled: false } },
  };
}
