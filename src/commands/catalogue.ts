import { type Runnable, runnable } from "./runnable.ts";

/** A command of the program. Loaded when it is called, so that each one starts fast. */
export interface CatalogueEntry {
  readonly summary: string;
  /** Whole command lines, with what they do. */
  readonly examples: readonly string[];
  readonly load: () => Promise<Runnable>;
}

/** Every command by its name. */
export const commands: Readonly<Record<string, CatalogueEntry>> = {
  run: {
    summary: "Run the gateway until SIGTERM or SIGINT",
    examples: [
      "tbgw run                                  Configuration from $TB_GW_CONFIG_DIR, /etc/tbgw, …",
      "tbgw run --config ./config --data ./data  Everything in this folder",
      "tbgw run --log-level debug                Say more",
    ],
    load: async () => runnable((await import("./run.ts")).runCommand),
  },
  demo: {
    summary: "See the gateway work: platform, broker and devices simulated on this machine",
    examples: [
      "tbgw demo                                 Live view; Ctrl-C ends it",
      "tbgw demo --seconds 20 --json             One summary object at the end",
      "tbgw demo --peers                         A platform and devices to practise tbgw init with",
    ],
    load: async () => runnable((await import("./demo.ts")).demoCommand),
  },
  init: {
    summary: "Write a configuration: asks, tests the platform, looks at devices",
    examples: [
      "tbgw init                                 Asks everything",
      "tbgw init --host thingsboard.cloud --token-file token --connector modbus --modbus-target 10.0.0.7 --yes",
      "tbgw init --connector opcua --existing add   One more connector",
      "tbgw init --import /etc/thingsboard-gateway/config   Take over a Python gateway's files",
      "tbgw init --token '${env:TB_TOKEN}' …     The file gets the reference, never the token",
      "tbgw init … --dry-run                     Show what would be written",
    ],
    load: async () => runnable((await import("./init.ts")).initCommand),
  },
  check: {
    summary: "Check the configuration: every mistake with file, path and line",
    examples: [
      "tbgw check                                The configuration that run would use",
      "tbgw check --config ./config --strict     Warnings count as errors",
      "tbgw check --explain                      What each mapping asks for and sends",
    ],
    load: async () => runnable((await import("./check.ts")).checkCommand),
  },
  status: {
    summary: "Show a running gateway: links, devices, rates, ledger, how long the buffer lasts",
    examples: [
      "tbgw status                               The gateway of this machine",
      "tbgw status --watch                       Look again every 2 seconds",
      "tbgw status --devices                     Every device, those in trouble first",
      'tbgw status --connector "Plant broker"    One connector, with its configuration',
      "tbgw status --data ./data --json          For scripts; exit code 1 when no gateway runs",
    ],
    load: async () => runnable((await import("./status.ts")).statusCommand),
  },
  probe: {
    summary: "Look at a device and print the configuration to paste",
    examples: [
      "tbgw probe modbus 10.0.0.7                What the registers of a Modbus TCP device hold",
      "tbgw probe modbus /dev/ttyUSB0 --baudrate 9600 --parity E",
      "tbgw probe modbus 10.0.0.7 --expect 229.01   Where and how a value is stored",
      "tbgw probe mqtt broker.plant.local --seconds 60   Topics of a broker, and mappings for them",
      "tbgw probe mqtt 10.0.0.5:1883 --topic 'plant/#' --expect 229.01",
      "tbgw probe opcua 10.0.0.5:4840            Endpoints, nodes and values of a server, and a mapping",
      "tbgw probe serial /dev/ttyUSB0            What a device sends over a serial port",
    ],
    load: async () => runnable((await import("./probe.ts")).probeCommand),
  },
  store: {
    summary: "Look into the event store, while the gateway runs or not",
    examples: [
      "tbgw store info                           What waits, the ledger and the quarantine",
      "tbgw store export > records.ndjson        The waiting records, one JSON object a line",
      "tbgw store verify --data ./data           Read everything; exit code 1 when something is damaged",
    ],
    load: async () => runnable((await import("./store.ts")).storeCommand),
  },
  config: {
    summary: "Look at and restore earlier configurations; bring old files up to date",
    examples: [
      "tbgw config history                       The last 10 contents of each file, who made them and when",
      "tbgw config history mqtt.json             Of one file",
      "tbgw config restore mqtt.json             Undo its last change; a running gateway takes it at once",
      "tbgw config restore tb_gateway.json 3     The third one of its history",
      "tbgw config migrate --dry-run             Which connector files have an older format",
      "tbgw config migrate                       Rewrite them; the old ones stay as .bak",
    ],
    load: async () => runnable((await import("./config.ts")).configCommand),
  },
  service: {
    summary: "Run the gateway as a service of this machine: systemd, OpenRC or cron",
    examples: [
      "sudo tbgw service install                 With what keeps services running here",
      "sudo tbgw service install --openrc --config /etc/tbgw --data /var/lib/tbgw",
      "tbgw service install --cron               Without root, in your own crontab",
      "tbgw service install --systemd --dry-run  Only say what would be done",
      "tbgw service install --systemd --root /mnt/image   Into the files of an image",
      "tbgw service status                       Exit code 1 unless it runs",
      "sudo tbgw service uninstall               Configuration and data stay",
    ],
    load: async () => runnable((await import("./service.ts")).serviceCommand),
  },
  upgrade: {
    summary: "Replace this program; goes back by itself when the gateway is not well with it",
    examples: [
      "sudo tbgw upgrade ./tbgw-linux-arm64      Checked by SHA256SUMS in its folder",
      "sudo tbgw upgrade ./tbgw-linux-arm64.xz   Packed, as it was released",
      "sudo tbgw upgrade ./tbgw --sha256 SUM     With the checksum from elsewhere",
      "sudo tbgw upgrade --rollback              Back to the one before",
    ],
    load: async () => runnable((await import("./upgrade.ts")).upgradeCommand),
  },
  support: {
    summary: "Put what helps to find a fault into one file, without secrets",
    examples: [
      "sudo tbgw support                         Of the service of this machine",
      "tbgw support --config ./config --data ./data --out bundle.tar.gz",
      "tar -tzf bundle.tar.gz                    Look what is in it before you send it",
    ],
    load: async () => runnable((await import("./support.ts")).supportCommand),
  },
  schema: {
    summary: "Print the JSON Schema of a configuration file, for editors",
    examples: [
      "tbgw schema gateway > tb_gateway.schema.json",
      "tbgw schema mqtt > mqtt.schema.json",
    ],
    load: async () => runnable((await import("./schema.ts")).schemaCommand),
  },
  licenses: {
    summary: "Print the licences of everything inside the program",
    examples: [
      "tbgw licenses                             All texts",
      "tbgw licenses --list                      Names, versions and licences",
    ],
    load: async () => runnable((await import("./licenses.ts")).licensesCommand),
  },
  sdk: {
    summary: "Print the type declarations for authors of extensions",
    examples: [
      "tbgw sdk > tbgw-sdk.d.ts                  Of the module tbgw/sdk",
      "tbgw sdk testing > tbgw-testing.d.ts      Of tbgw/testing, for tests of extensions",
    ],
    load: async () => runnable((await import("./sdk.ts")).sdkCommand),
  },
  extension: {
    summary: "Write, check and try out connectors and converters of your own",
    examples: [
      "tbgw extension new TankLevelConverter --kind uplink      Converter for MQTT, with its test",
      "tbgw extension new MeterConnector                        Connector, with its test",
      "tbgw extension check extensions/mqtt/tank-level-converter.ts",
      "tbgw extension test extensions/mqtt/tank-level-converter.test.ts",
      "tbgw extension test extensions/mqtt/tank-level-converter.ts --input payload.hex --topic tank/T-7",
      "tbgw extension test extensions/meter/meter-connector.ts --config meter.json --seconds 30",
      "tbgw extension list                                      What run would find, and its state",
    ],
    load: async () => runnable((await import("./extension.ts")).extensionCommand),
  },
};
