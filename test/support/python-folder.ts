import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CA } from "./private-ca.ts";

const cases = resolve(import.meta.dir, "../cases");

const TYPES_OF_PYTHON_ALONE = [
  "bacnet",
  "can",
  "ftp",
  "knx",
  "ocpp",
  "odbc",
  "request",
  "rest",
  "s7",
  "snmp",
  "socket",
  "xmpp",
];

const MODBUS = {
  master: {
    slaves: [
      {
        host: "127.0.0.1",
        port: 5021,
        type: "tcp",
        method: "socket",
        timeout: 35,
        byteOrder: "LITTLE",
        wordOrder: "LITTLE",
        retries: true,
        pollPeriod: 5000,
        unitId: 1,
        deviceName: "Demo Device",
        deviceType: "default",
        connectAttemptTimeMs: 5000,
        connectAttemptCount: 5,
        waitAfterFailedAttemptsMs: 300_000,
        attributes: [{ tag: "attr", type: "16int", functionCode: 3, objectsCount: 1, address: 4 }],
        timeseries: [
          { tag: "bits_read", type: "bits", functionCode: 1, objectsCount: 1, address: 6 },
          { tag: "16int_read", type: "16int", functionCode: 3, objectsCount: 1, address: 8 },
        ],
        attributeUpdates: [
          { tag: "shared_attr", type: "32int", functionCode: 6, objectsCount: 2, address: 28 },
        ],
        rpc: [{ tag: "setValue", type: "16int", functionCode: 5, objectsCount: 1, address: 31 }],
      },
    ],
  },
  slave: null,
};

/** As files were before version 3.0. */
const OLD_MODBUS = {
  server: {
    name: "Modbus Default Server",
    type: "tcp",
    method: "socket",
    host: "127.0.0.1",
    port: 5020,
    timeout: 35,
    devices: [
      {
        unitId: 1,
        deviceName: "Temp Sensor",
        attributesPollPeriod: 5000,
        timeseriesPollPeriod: 5000,
        sendDataOnlyOnChange: false,
        attributes: [
          {
            byteOrder: "BIG",
            tag: "test",
            type: "string",
            functionCode: 4,
            registerCount: 1,
            address: 0,
          },
        ],
        timeseries: [{ tag: "test", type: "bytes", functionCode: 4, registerCount: 1, address: 0 }],
      },
    ],
  },
};

const OPCUA = {
  server: {
    url: "localhost:4840/freeopcua/server/",
    timeoutInMillis: 5000,
    scanPeriodInMillis: 3_600_000,
    pollPeriodInMillis: 5000,
    enableSubscriptions: false,
    subCheckPeriodInMillis: 100,
    showMap: false,
    security: "Basic128Rsa15",
    identity: { type: "anonymous" },
  },
  mapping: [
    {
      deviceNodePattern: "Root\\.Objects\\.Device1",
      deviceNodeSource: "path",
      deviceInfo: {
        deviceNameExpression: "Demo Device",
        deviceNameExpressionSource: "constant",
        deviceProfileExpression: "default",
        deviceProfileExpressionSource: "constant",
      },
      attributes: [{ key: "temperature", type: "path", value: "${ns=2;i=5}" }],
      timeseries: [{ key: "humidity", type: "path", value: "${Root\\.Objects\\.Device1\\.Temp}" }],
      rpc_methods: [{ method: "multiply", arguments: [{ type: "integer", value: 2 }] }],
      attributes_updates: [
        { key: "deviceName", type: "path", value: "Root\\.Objects\\.Device1\\.serial" },
      ],
    },
  ],
};

const BLE = {
  name: "BLE Connector",
  passiveScanMode: true,
  showMap: false,
  scanner: { timeout: 10_000, deviceName: "Device name" },
  devices: [
    {
      name: "Temperature and humidity sensor",
      MACAddress: "4C:65:A8:DF:85:C0",
      pollPeriod: 500_000,
      showMap: false,
      timeout: 10_000,
      connectRetry: 5,
      connectRetryInSeconds: 0,
      waitAfterConnectRetries: 10,
      telemetry: [
        {
          key: "temperature",
          method: "notify",
          characteristicUUID: "226CAA55-6476-4566-7562-66734470666D",
          valueExpression: "[2]",
        },
      ],
      attributes: [],
      attributeUpdates: [],
      serverSideRpc: [],
    },
  ],
};

/** A configuration folder as a Python gateway with a connector of every type has it, certificates and commands of statistics included. */
export function writePythonFolder(dir: string): void {
  const write = (name: string, content: unknown): void => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    const text = typeof content === "string" ? content : JSON.stringify(content, undefined, 2);
    writeFileSync(join(dir, name), text);
  };
  write("mqtt.json", mqttWithSecrets());
  write("modbus.json", MODBUS);
  write("modbus_old.json", OLD_MODBUS);
  write("opcua.json", OPCUA);
  write("ble.json", BLE);
  write("credentials/ca.pem", CA);
  write("list.json", { deny: {}, allow: {} });
  write("connected_devices.json", {
    "Demo Device": { connectorName: "modbus sample", deviceType: "default" },
  });
  write("statistics/statistics_linux.json", [
    { attributeOnGateway: "CPU", command: ["/bin/sh", "-c", "cat /proc/loadavg"], timeout: 100 },
  ]);
  cpSync(join(cases, "config/stock/config/logs.json"), join(dir, "logs.json"));
  for (const type of TYPES_OF_PYTHON_ALONE) {
    write(`${type}.json`, { anything: true });
  }
  const entry = (type: string, name: string, configuration: string) => ({
    type,
    name,
    configuration,
  });
  write("tb_gateway.json", {
    thingsboard: {
      host: "thingsboard.cloud",
      port: 1883,
      remoteShell: false,
      remoteConfiguration: true,
      statistics: {
        enable: true,
        statsSendPeriodInSeconds: 60,
        configuration: "statistics/statistics_linux.json",
      },
      deviceFiltering: { enable: false, filterFile: "list.json" },
      security: { type: "accessToken", accessToken: "YOUR_ACCESS_TOKEN" },
      qos: 1,
    },
    storage: { type: "memory", read_records_count: 100, max_records_count: 100_000 },
    grpc: { enabled: false, serverPort: 9595 },
    connectors: [
      entry("mqtt", "mqtt sample", "mqtt.json"),
      entry("modbus", "modbus sample", "modbus.json"),
      entry("modbus", "modbus of old", "modbus_old.json"),
      entry("opcua", "opcua sample", "opcua.json"),
      entry("ble", "ble sample", "ble.json"),
      ...TYPES_OF_PYTHON_ALONE.map((type) => entry(type, `${type} sample`, `${type}.json`)),
      { ...entry("serial", "custom serial", "serial.json"), class: "CustomSerialConnector" },
    ],
  });
}

/** The sample of the MQTT connector, with a password and a certificate in a folder of its own. */
function mqttWithSecrets(): unknown {
  const text = readFileSync(join(cases, "mqtt/stock-configuration/config.json"), "utf8");
  const sample = JSON.parse(text);
  const security = {
    type: "certificates",
    username: "plant",
    password: "s3cret-of-the-broker",
    pathToCACert: "credentials/ca.pem",
  };
  return { ...sample, broker: { ...sample.broker, security } };
}
