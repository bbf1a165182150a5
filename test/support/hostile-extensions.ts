import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeExtension } from "./plant-file.ts";

/** A connector that does its worst. */
interface Hostile {
  /** Block of its `create(config, host)`. */
  readonly body: string;
  readonly isolation?: "worker";
}

const QUIET_END = `async [Symbol.asyncDispose]() {},`;

/** Connectors by their type, each doing what a connector must not do. */
export const HOSTILE = {
  throwing: {
    body: `const bad = () => { throw new Error("throwing throws"); };
      host.platform.onChange(bad);
      return { run: bad, handleRpc: bad, handleConnectorRpc: bad, handleAttributes: bad, sharedAttributeKeys: bad,
        rpcTimeoutMs: bad, [Symbol.asyncDispose]: bad };`,
  },
  listener: {
    body: `const bad = () => { throw new Error("listener throws"); };
      host.platform.onChange(bad);
      return {
        async run(signal) { await host.devices.connect("Hostile listener"); await untilAborted(signal); },
        handleRpc: bad, handleAttributes: bad, sharedAttributeKeys: bad, rpcTimeoutMs: bad,
        ${QUIET_END}
      };`,
  },
  never: { body: `return new Promise(() => undefined);` },
  endless: {
    body: `return {
        run: () => new Promise(() => undefined),
        [Symbol.asyncDispose]: () => new Promise(() => undefined),
      };`,
  },
  leaking: {
    body: `setInterval(() => { throw new Error("leaked interval"); }, 100);
      return { run: untilAborted, ${QUIET_END} };`,
  },
  floating: {
    body: `return {
        async run(signal) {
          const later = async () => { await host.clock.sleep(50, signal); throw new Error("floating rejection"); };
          later();
          await untilAborted(signal);
        },
        ${QUIET_END}
      };`,
  },
  after: {
    body: `return {
        async run() { throw new Error("after is over"); },
        async [Symbol.asyncDispose]() {
          setInterval(() => host.uplink.tryAccept({ deviceName: "Ghost", telemetry: [{ values: { a: 1 } }] }), 100);
        },
      };`,
  },
  rubbish: {
    body: `const cycle = {};
      cycle.self = cycle;
      return {
        async run(signal) {
          const tries = [undefined, 5, {}, { deviceName: 7 }, { deviceName: "R", telemetry: 5 }, { deviceName: "R", attributes: cycle },
            { deviceName: "R", telemetry: [{ ts: NaN, values: { a: 1 } }] }, { deviceName: "R", telemetry: [null] }];
          for (const data of tries) {
            await host.uplink.accept(data, signal).then(
              () => host.log.error("Rubbish was taken"),
              (error) => host.metrics.count("refused " + error.name),
            );
          }
          host.metrics.count(cycle, NaN);
          host.metrics.rejected("rubbish", -5);
          for (const call of [() => host.devices.connect(undefined), () => host.devices.connect({}), () => host.setStatus("rubbish")]) {
            try { await call(); host.log.error("Rubbish was taken"); } catch {}
          }
          try { host.log.info("Odd fields", { cycle, call: () => 1, big: { n: 1n }, symbol: Symbol("s") }); } catch {}
          await host.devices.connect("Rubbish");
          host.log.info("Rubbish is through");
          await untilAborted(signal);
        },
        handleRpc: ({ method }) => (method === "cycle" ? cycle : () => 1),
        rpcTimeoutMs: () => "soon",
        sharedAttributeKeys: () => 7,
        ${QUIET_END}
      };`,
  },
  none: { body: `return {};` },
  hog: {
    body: `return {
        async run() { const kept = []; for (;;) kept.push({ n: kept.length, text: "x" + kept.length }); },
        ${QUIET_END}
      };`,
    isolation: "worker",
  },
  loop: {
    body: `return { async run() { for (;;) {} }, ${QUIET_END} };`,
    isolation: "worker",
  },
} as const satisfies Readonly<Record<string, Hostile>>;

/** What a file does at its top level, before anybody runs it. */
const TOP_LEVEL = `
setImmediate(() => { throw new Error("top level throws"); });
Promise.reject(new Error("top level rejects"));
`;

/** Adds all of them to the configuration of a gateway, as extensions beside it. */
export function addHostileExtensions(configDir: string): void {
  const mainFile = join(configDir, "tb_gateway.json");
  const main: { connectors: object[] } = JSON.parse(readFileSync(mainFile, "utf8"));
  for (const [type, hostile] of Object.entries<Hostile>(HOSTILE)) {
    const file = writeExtension(join(configDir, "extensions"), type, hostile.body);
    if (type === "none") {
      appendFileSync(file, TOP_LEVEL);
    }
    writeFileSync(join(configDir, `${type}.json`), '{"hostile":true}');
    const { isolation } = hostile;
    const entry = { type, name: `Hostile ${type}`, configuration: `${type}.json` };
    main.connectors.push(isolation === undefined ? entry : { ...entry, isolation });
  }
  writeFileSync(mainFile, JSON.stringify(main));
}
