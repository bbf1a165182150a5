import type { ConnectorHost } from "#sdk/connector";
import type { DownlinkConverter, ModbusRead, UplinkConverter } from "#sdk/converter";
import { errorText } from "#sdk/errors";
import type { DeviceData, ReportStrategy } from "#sdk/model";
import { toReportStrategy } from "#sdk/report-strategy";
import { Bus } from "./bus.ts";
import type { ModbusRequest } from "./client.ts";
import type { Decoder } from "./decoder.ts";
import { CommandedDevice } from "./device.ts";
import type { ReadItemConfig } from "./item-config.ts";
import { compileItems, type ReadTarget } from "./items.ts";
import type { LearntRefusals } from "./learnt.ts";
import { lineDifferences, lineKey, lineName, lineOf } from "./line.ts";
import { PollGroup } from "./poller.ts";
import { readAdvice } from "./problems.ts";
import { ReadPlan } from "./read-plan.ts";
import { OWN_CONVERTERS, type SlaveConfig } from "./slave-config.ts";
import { Unit } from "./unit.ts";
import type { PolledDevice } from "./uplink.ts";
import type { TalkSettings } from "./waits.ts";

/** Upstream's floor of the first pause between two attempts to connect. */
const LEAST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 20_000;
/** The first cycles of the groups of a line are spread over at most this long. */
const STAGGER_MS = 1000;

/** What the master needs of its surroundings. */
export interface MasterOptions {
  readonly slaves: readonly SlaveConfig[];
  readonly host: ConnectorHost;
  readonly learnt: LearntRefusals;
  readonly put: (records: readonly DeviceData[], signal: AbortSignal) => Promise<void>;
}

/** Items that are read in one cycle. */
interface Draft {
  readonly unit: Unit;
  readonly talk: TalkSettings;
  readonly periodMs: number;
  readonly optimization: SlaveConfig["readOptimization"];
  readonly devices: PolledDevice[];
  readonly targets: ReadTarget[];
}

/** The gateway as the master of its lines: builds lines, units and poll groups from the configuration and runs them. */
export class Master {
  readonly devices = new Map<string, CommandedDevice>();
  readonly buses = new Map<string, Bus>();
  readonly #options: MasterOptions;
  readonly #units = new Map<string, Unit>();
  readonly #drafts = new Map<string, Draft>();
  readonly #decoders = new Map<string, Decoder>();
  readonly #groups: PollGroup[] = [];
  readonly #flushes: CommandedDevice[] = [];

  private constructor(options: MasterOptions) {
    this.#options = options;
  }

  /** Makes everything ready; opens nothing. */
  static async create(options: MasterOptions): Promise<Master> {
    const master = new Master(options);
    for (const slave of options.slaves) {
      await master.#addSlave(slave);
    }
    master.#makeGroups();
    return master;
  }

  /** What runs until its signal aborts: lines, units and poll groups. */
  tasks(): readonly ((signal: AbortSignal) => Promise<void>)[] {
    return [
      ...[...this.buses.values()].map((bus) => (signal: AbortSignal) => bus.run(signal)),
      ...[...this.#units.values()].map((unit) => (signal: AbortSignal) => unit.watch(signal)),
      ...this.#groups.map((group) => (signal: AbortSignal) => group.run(signal)),
      ...this.#flushes.map((device) => (signal: AbortSignal) => device.flushPending(signal)),
    ];
  }

  get units(): readonly Unit[] {
    return [...this.#units.values()];
  }

  async #addSlave(slave: SlaveConfig): Promise<void> {
    const { host } = this.#options;
    const talk = talkOf(slave);
    const bus = this.#busOf(slave);
    const unit = this.#unitOf(slave, bus, talk);
    unit.addDevice(slave, talk);
    if (this.devices.has(slave.deviceName)) {
      host.log.warn("Two devices have the same name; commands go to the first", {
        device: slave.deviceName,
      });
    }
    const downlink = await this.#downlinkOf(slave);
    const device = new CommandedDevice({ config: slave, unit, talk, host, convert: downlink });
    this.#flushes.push(device);
    if (!this.devices.has(slave.deviceName)) {
      this.devices.set(slave.deviceName, device);
    }
    giveAdvice(slave, host);
    const polled = polledDevice(slave, await this.#uplinkOf(slave));
    this.#addItems(slave, { unit, talk, polled });
    unit.probeRequest ??= writtenPlace(slave);
  }

  #busOf(slave: SlaveConfig): Bus {
    const { host } = this.#options;
    const line = lineOf(slave);
    const key = lineKey(line);
    const known = this.buses.get(key);
    if (known !== undefined) {
      const differences = lineDifferences(known.line, line);
      if (differences.length > 0) {
        host.log.error("Devices of one line disagree about it; the first one counts", {
          device: slave.deviceName,
          line: lineName(known.line),
          settings: differences,
        });
      }
      return known;
    }
    const onLine = this.#options.slaves.filter((one) => lineKey(lineOf(one)) === key);
    const failuresToDown = Math.max(2, ...onLine.map((one) => one.connectAttemptCount));
    const pipelines = line.kind === "tcp" && line.framing === "socket";
    let failures = 0;
    const bus = new Bus({
      line,
      host,
      connectTimeoutMs: 1000 * Math.max(...onLine.map(({ timeout }) => timeout)),
      retry: {
        firstMs: Math.max(LEAST_PAUSE_MS, slave.connectAttemptTimeMs),
        ceilingMs: Math.min(
          LONGEST_PAUSE_MS,
          Math.max(LEAST_PAUSE_MS, slave.waitAfterFailedAttemptsMs),
        ),
      },
      maxInFlight: pipelines ? Math.max(...onLine.map((one) => one.maxInFlight)) : 1,
      onConnected: () => {
        failures = 0;
        for (const unit of this.#unitsOn(bus)) {
          unit.lineConnected();
        }
      },
      onFailedAttempt: () => {
        failures += 1;
        if (failures >= failuresToDown) {
          for (const unit of this.#unitsOn(bus)) {
            unit.lineFailed();
          }
        }
      },
    });
    this.buses.set(key, bus);
    return bus;
  }

  #unitsOn(bus: Bus): readonly Unit[] {
    return [...this.#units.values()].filter((unit) => unit.bus === bus);
  }

  #unitOf(slave: SlaveConfig, bus: Bus, talk: TalkSettings): Unit {
    const key = `${lineKey(bus.line)} ${slave.unitId}`;
    let unit = this.#units.get(key);
    if (unit === undefined) {
      unit = new Unit({ id: slave.unitId, bus, host: this.#options.host, talk });
      this.#units.set(key, unit);
    }
    return unit;
  }

  async #uplinkOf(slave: SlaveConfig): Promise<UplinkConverter<ModbusRead> | undefined> {
    const { host } = this.#options;
    const name = slave.uplink_converter;
    if (name === undefined || OWN_CONVERTERS.test(name)) {
      return undefined;
    }
    return await host.converters.uplink<ModbusRead>(name, slave).catch((error: unknown) => {
      sayUnusable(host, slave, error);
      return undefined;
    });
  }

  async #downlinkOf(slave: SlaveConfig): Promise<DownlinkConverter | undefined> {
    const { host } = this.#options;
    const name = slave.downlink_converter;
    if (name === undefined || OWN_CONVERTERS.test(name)) {
      return undefined;
    }
    return await host.converters.downlink(name, slave).catch((error: unknown) => {
      sayUnusable(host, slave, error);
      return undefined;
    });
  }

  #addItems(
    slave: SlaveConfig,
    place: { readonly unit: Unit; readonly talk: TalkSettings; readonly polled: PolledDevice },
  ): void {
    const lists = [
      ["telemetry", slave.timeseries, slave.pollPeriod],
      ["attributes", slave.attributes, slave.attributesPollPeriod ?? slave.pollPeriod],
    ] as const;
    for (const [section, items, periodMs] of lists) {
      if (items.length > 0) {
        const draft = this.#draftOf(slave, periodMs, place);
        // A device that is there already has both lists read in one cycle.
        const index = indexOrAdd(draft.devices, place.polled);
        const { byteOrder, wordOrder, unitId } = slave;
        const context = {
          device: index,
          unitId,
          orders: { byteOrder, wordOrder },
          decoders: this.#decoders,
        };
        draft.targets.push(...compileItems(items, section, context));
      }
    }
    if (
      slave.timeseries.length + slave.attributes.length === 0 &&
      writtenPlace(slave) !== undefined
    ) {
      this.#draftOf(slave, slave.pollPeriod, place);
    }
  }

  #draftOf(
    slave: SlaveConfig,
    periodMs: number,
    { unit, talk }: { readonly unit: Unit; readonly talk: TalkSettings },
  ): Draft {
    const optimization = slave.readOptimization;
    const key = `${lineKey(unit.bus.line)} ${unit.id} ${periodMs} ${JSON.stringify(optimization)}`;
    let draft = this.#drafts.get(key);
    if (draft === undefined) {
      draft = { unit, talk, periodMs, optimization, devices: [], targets: [] };
      this.#drafts.set(key, draft);
    }
    return draft;
  }

  #makeGroups(): void {
    const { host, learnt, put } = this.#options;
    const drafts = [...this.#drafts.values()];
    for (const { unit, talk, periodMs, optimization, devices, targets } of drafts) {
      const line = lineKey(unit.bus.line);
      const plan = new ReadPlan({
        line,
        unit: unit.id,
        targets,
        optimization,
        learnt,
        clock: host.clock,
      });
      const { cheapest } = plan;
      if (cheapest !== undefined) {
        const { functionCode, address, count } = cheapest;
        unit.probeRequest = { functionCode, unit: unit.id, address, count };
      }
      const onLine = drafts.filter((draft) => draft.unit.bus === unit.bus);
      const place = onLine.findIndex((draft) => draft.targets === targets) / onLine.length;
      const firstDelayMs = Math.floor(place * Math.min(periodMs, STAGGER_MS));
      this.#groups.push(
        new PollGroup({ unit, talk, periodMs, devices, plan, firstDelayMs, host, put }),
      );
    }
  }
}

/** What a device's configuration says about talking to it. */
export function talkOf(slave: SlaveConfig): TalkSettings {
  return {
    timeoutMs: 1000 * slave.timeout,
    responseTimeoutMs: slave.responseTimeoutMs,
    retries: slave.retries,
    retryWrites: slave.retryWrites,
    delayMs: slave.delayBetweenRequestsMs,
    failuresToDown: slave.connectAttemptCount,
  };
}

/** The place of the first item that is written: reading it shows whether a device is there that is never read. */
function writtenPlace(slave: SlaveConfig): ModbusRequest | undefined {
  if (slave.type === "serial" && slave.unitId === 0) {
    return undefined;
  }
  const [item] = [...slave.attributeUpdates, ...slave.rpc];
  if (item === undefined) {
    return undefined;
  }
  const codes: Readonly<Record<number, 1 | 2 | 3 | 4>> = { 1: 1, 2: 2, 3: 3, 4: 4, 5: 1, 15: 1 };
  const functionCode = codes[item.functionCode] ?? 3;
  return { functionCode, unit: slave.unitId, address: item.address, count: 1 };
}

function polledDevice(
  slave: SlaveConfig,
  convert: UplinkConverter<ModbusRead> | undefined,
): PolledDevice {
  const { deviceName, deviceType, unitId, byteOrder, wordOrder, reportStrategy } = slave;
  const own: [string, ReportStrategy][] = [];
  for (const item of [...slave.attributes, ...slave.timeseries]) {
    const strategy = toReportStrategy(item.reportStrategy);
    if (strategy !== undefined) {
      own.push(...keysOf(item, unitId).map((key): [string, ReportStrategy] => [key, strategy]));
    }
  }
  return {
    deviceName,
    deviceType,
    unitId,
    byteOrder,
    wordOrder,
    strategy: toReportStrategy(reportStrategy),
    keyStrategies: own.length === 0 ? undefined : Object.fromEntries(own),
    convert,
  };
}

function keysOf(item: ReadItemConfig, unitId: number): readonly string[] {
  const context = {
    device: 0,
    unitId,
    orders: { byteOrder: "BIG", wordOrder: "BIG" },
    decoders: new Map<string, Decoder>(),
  } as const;
  return compileItems([item], "telemetry", context).map(({ key }) => key);
}

function indexOrAdd(devices: PolledDevice[], device: PolledDevice): number {
  const index = devices.indexOf(device);
  return index === -1 ? devices.push(device) - 1 : index;
}

function sayUnusable(host: ConnectorHost, slave: SlaveConfig, error: unknown): void {
  host.log.error("A converter cannot be used; the built-in one takes its place", {
    device: slave.deviceName,
    error: errorText(error),
  });
}

/** Says what is odd about a device but does not keep it from working. */
function giveAdvice(slave: SlaveConfig, host: ConnectorHost): void {
  const { deviceName: device } = slave;
  for (const section of ["attributes", "timeseries"] as const) {
    const seen = new Set<string>();
    for (const item of slave[section]) {
      if (seen.has(item.tag)) {
        host.log.warn("Two items have the same tag; the last value of a cycle counts", {
          device,
          section,
          tag: item.tag,
        });
      }
      seen.add(item.tag);
      for (const advice of readAdvice(item)) {
        host.log.warn("An item is odd", { device, section, tag: item.tag, because: advice });
      }
    }
  }
}
