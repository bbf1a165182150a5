// What every bundle of the program has in common: how it is minified, and what it does without.

/** Packages that libraries try to load and do without. */
export const OPTIONAL = ["proper-lockfile"];

/** What a package that is never reached says, should it be reached all the same. */
const absent = (name: string): string =>
  `throw new Error("${name} is not part of this program: see scripts/bundle-options.ts");`;

/** What stands for a file whose functions and classes are never called. */
const absentClass = (name: string): string =>
  `module.exports = class { constructor() { ${absent(name)} } };`;

/** Ways of modbus-serial to open a line or a socket; the connector gives it one that it has opened itself. */
const MODBUS_PORTS = [
  "ports/asciiport",
  "ports/bleport",
  "ports/c701port",
  "ports/rtubufferedport",
  "ports/tcpport",
  "ports/tcprtubufferedport",
  "ports/telnetport",
  "ports/testport",
  "ports/udpport",
  "servers/serverserial",
];

/** Ways of mqtt.js to other brokers: only TCP is used, and TLS sockets of our own. */
const MQTT_STREAMS = ["ali", "socks", "ws", "wx"];

/**
 * Packages, and files of packages, that libraries import at the top and use in functions that are never called here, by what is put in
 * their place. They are 0.8 MB of scripts.
 */
export const REPLACED: Readonly<Record<string, string>> = {
  // The run time has the same streams, and has loaded them anyway.
  "readable-stream": 'module.exports = require("node:stream");',
  // OpenSSH's formats of keys; ours are PEM and DER, which the run time reads.
  sshpk: `const absent = () => { ${absent("sshpk")} };
    export default { parseKey: absent, parsePrivateKey: absent };`,
  // Announcing a server to the network: the demo's is for this machine alone.
  "sterfive-bonjour-service": `export class Bonjour { constructor() { ${absent("sterfive-bonjour-service")} } }`,
  // Cryptography for run times without any.
  "@peculiar/webcrypto": `export class Crypto { constructor() { ${absent("@peculiar/webcrypto")} } }`,
  // The run time knows versions, and arrays do the rest.
  semver: "export default { lt: (a, b) => Bun.semver.order(a, b) < 0 };",
  "lodash.partition":
    "export default (list, is) => [list.filter((one) => is(one)), list.filter((one) => !is(one))];",
  "lodash.sortby": "export default (list, key) => list.toSorted((a, b) => a[key] - b[key]);",
  ...Object.fromEntries(
    MODBUS_PORTS.map((file) => [`modbus-serial/${file}`, absentClass(`modbus-serial/${file}`)]),
  ),
  // They add methods to open those, and a queue of its own.
  "modbus-serial/apis/connection": "module.exports = () => undefined;",
  "modbus-serial/apis/worker": "module.exports = () => undefined;",
  ...Object.fromEntries(
    MQTT_STREAMS.map((file) => [
      `mqtt/build/lib/connect/${file}`,
      `module.exports = { __esModule: true, default: () => { ${absent(`mqtt over ${file}`)} } };`,
    ]),
  ),
  // Folders of certificates; here they are in memory, read from files of the connector.
  "node-opcua-certificate-manager": `export const getDefaultCertificateManager = () => { ${absent("node-opcua-certificate-manager")} };`,
};

const replaced: Bun.BunPlugin = {
  name: "replaced-packages",
  setup: (builder) => {
    for (const [name, contents] of Object.entries(REPLACED)) {
      const filter = new RegExp(`/node_modules/${name}(/.*)?\\.[cm]?js$`);
      builder.onLoad({ filter }, () => ({ contents, loader: "js" }));
    }
  },
};

/** Of every bundle; a bundle with plugins of its own lists these first. */
export const BUNDLE = {
  target: "bun",
  format: "esm",
  // Identifiers stay: class names are part of what some libraries do at run time.
  minify: { whitespace: true, syntax: true, identifiers: false },
  define: { "process.env.NODE_ENV": '"production"' },
  external: OPTIONAL,
  plugins: [replaced],
} as const satisfies Omit<Bun.BuildConfig, "entrypoints" | "external" | "plugins"> & {
  readonly external: string[];
  readonly plugins: Bun.BunPlugin[];
};
