import type { CreateOptions } from "../connector/create.ts";
import { gatewayUplink, type HostServices } from "../connector/host.ts";
import type { ConnectorSet } from "../connector/reload.ts";
import { DeliveryClient } from "../delivery/client.ts";
import { LogSettings } from "../logging/settings.ts";
import { Pipeline } from "../pipeline/uplink.ts";
import { type Logger, rateLimited } from "../sdk/logger.ts";
import { BUILD_MS } from "../version.ts";
import { Announced } from "./announced.ts";
import { ConnectorDirectory } from "./connector-directory.ts";
import { ConnectorErrors } from "./connector-errors.ts";
import { connectorSet } from "./connector-set.ts";
import { DeviceService, plainDevices } from "./device-service.ts";
import type { Devices } from "./devices.ts";
import { DownlinkServices } from "./downlink-services.ts";
import { Downlinks } from "./downlinks.ts";
import { ExtensionServices } from "./extension-services.ts";
import type { GatewayOptions, GatewaySetup } from "./gateway-setup.ts";
import { hostServices } from "./host-services.ts";
import { LiveConfiguration } from "./live-configuration.ts";
import { LocalViews } from "./local-views.ts";
import type { ConnectorCounters } from "./metrics.ts";
import { Observation } from "./observation.ts";
import { OWN_ATTRIBUTES, OwnAttributes } from "./own-attributes.ts";
import { PlatformLink } from "./platform-link.ts";
import { RemoteServices } from "./remote-services.ts";
import type { RpcCounts } from "./rpc.ts";
import { changeSettings } from "./settings-change.ts";
import { openStampClock, type StampClock } from "./stamp-clock.ts";
import { Statistics } from "./statistics.ts";
import { type GatewayStatus, StatusReader } from "./status.ts";

/** How long a stop lets the uplink drain. The store keeps the rest; a memory store gets longer. */
const DRAIN_MS = 2000;
const DRAIN_MEMORY_MS = 4000;
/** How long the status waits for the delivery thread. */
const STATUS_MS = 2000;

/**
 * The composition root of the collection thread: opens the sink first (the delivery thread with its store), then the
 * connectors, and stops in the opposite order.
 */
export class Gateway implements AsyncDisposable {
  #setup: GatewaySetup;
  #configuration: LiveConfiguration | undefined;
  readonly #options: GatewayOptions;
  readonly #log: Logger;
  readonly #delivery: DeliveryClient;
  readonly #devices: Devices;
  readonly #deviceService: DeviceService;
  readonly #own: OwnAttributes;
  readonly #logs: LogSettings;
  readonly #remote: RemoteServices;
  readonly #stamps: StampClock;
  readonly #pipeline: Pipeline;
  readonly #services: HostServices;
  readonly #creating: CreateOptions;
  readonly #connectors: ConnectorSet;
  readonly #directory = new ConnectorDirectory();
  readonly #down: DownlinkServices;
  readonly #extensions: ExtensionServices | undefined;
  readonly #counters: ConnectorCounters;
  readonly #observation: Observation;
  readonly #views: LocalViews;
  readonly #status: StatusReader;
  readonly #statistics: Statistics;
  readonly #errors: ConnectorErrors;
  #stopped: Promise<void> | undefined;

  private constructor(setup: GatewaySetup, options: GatewayOptions, parts: GatewayParts) {
    this.#setup = setup;
    this.#options = options;
    this.#logs = parts.logs;
    this.#remote = parts.remote;
    this.#log = parts.logs.logger("service");
    this.#delivery = parts.delivery;
    this.#own = parts.own;
    this.#stamps = parts.stamps;
    this.#observation = parts.observation;
    this.#counters = parts.observation.counters;
    this.#views = parts.views;
    this.#deviceService = parts.devices;
    this.#devices = parts.devices.devices;
    this.#pipeline = this.#buildPipeline(parts);
    parts.devices.start({
      announce: (device) => parts.delivery.device(device),
      accept: (data, signal) => this.#pipeline.acceptAbout(data, signal),
      forgotten: (deviceName) => {
        this.#pipeline.forgetDevice(deviceName);
        this.#observation.health.forget(deviceName);
        this.#down.forget(deviceName);
      },
    });
    this.#down = this.#openDownlinks(parts);
    this.#down.addMethods(parts.remote.shell.methods);
    this.#extensions = this.#openExtensions(parts);
    this.#services = this.#buildServices(parts);
    const { clock, onFailure } = options;
    this.#creating = this.#creatingOptions();
    const { secrets } = this.#logs;
    this.#errors = new ConnectorErrors({ clock, log: this.#log, own: this.#own, secrets });
    this.#connectors = connectorSet({
      clock,
      onFailure,
      log: this.#log,
      logs: this.#logs,
      delivery: this.#delivery,
      directory: this.#directory,
      pipeline: this.#pipeline,
      errors: this.#errors,
      extensions: this.#extensions,
      services: this.#services,
      creating: this.#creating,
    });
    this.#status = this.#buildStatus();
    this.#statistics = new Statistics({
      clock,
      log: this.#log,
      store: (data, signal) => this.#pipeline.acceptOwn(data, signal),
      status: () => this.status(),
    });
  }

  /** Opens the store and starts everything. @throws Error when the store cannot be opened */
  static async start(setup: GatewaySetup, options: GatewayOptions): Promise<Gateway> {
    const { clock, onFailure } = options;
    const logs = options.logs ?? LogSettings.plain(options.sink, setup.logLevel, clock);
    const platform = new PlatformLink();
    const announced = new Announced(platform);
    const log = logs.logger("service");
    const downlinks = new Downlinks(log);
    const observation = new Observation(clock);
    const views = new LocalViews({ clock, log, dataDir: setup.dataDir, web: setup.web });
    const buildMs = options.buildMs ?? BUILD_MS;
    // Before the delivery thread, which looks for what this notes.
    const stamps = openStampClock({ clock, log, dataDir: setup.dataDir, buildMs });
    const { dataDir, devices: settings = plainDevices(setup.connectors) } = setup;
    const devices = new DeviceService({ clock, log, dataDir, settings });
    const delivery = await DeliveryClient.open(
      {
        dataDir,
        devices: devices.known,
        storage: setup.storage,
        leftBehind: setup.leftBehind,
        session: setup.session,
        logLevel: logs.levels.delivery,
      },
      {
        clock,
        sink: logs.sink,
        onReport: (report) => {
          observation.uplink.update(report);
          platform.update(report.link.state === "connected");
        },
        onDownlink: (topic, payload) => {
          observation.downlink(topic);
          downlinks.receive(topic, payload);
        },
        keepDevices: () => devices.kept(),
        onAnnounced: (deviceName) => announced.add(deviceName),
        onFailure,
      },
    ).catch(async (error: unknown) => {
      stamps[Symbol.dispose]();
      await views[Symbol.asyncDispose]();
      throw error;
    });
    const own = new OwnAttributes({ clock, log, publisher: delivery, platform });
    downlinks.on(OWN_ATTRIBUTES, (payload, match) => own.receive(match?.[0] ?? "", payload));
    const { shell } = setup;
    const link = { platform, own, delivery };
    const remote = new RemoteServices({ ...link, clock, log, logs, dataDir, shell });
    const shown = { observation, views, logs, remote };
    const linked = { downlinks, delivery, platform, announced, own };
    const gateway = new Gateway(setup, options, { devices, stamps, ...linked, ...shown });
    await gateway.#extensions?.loadMethods();
    gateway.#startConnectors();
    gateway.#openConfiguration(platform);
    await views.show(gateway.#status);
    return gateway;
  }

  /** The state of everything at this moment; says so when the delivery thread does not answer. */
  async status(): Promise<GatewayStatus> {
    return await this.#status.read(STATUS_MS);
  }

  /** Calls of the platform since the start. */
  get rpc(): RpcCounts {
    return this.#down.rpcCounts;
  }

  /** Stops the connectors, drains, commits, disconnects. Resolves within 10 s. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    await this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stopOnce(): Promise<void> {
    await this.#configuration?.[Symbol.asyncDispose]();
    this.#errors[Symbol.dispose]();
    this.#deviceService.stopping();
    await this.#down[Symbol.asyncDispose]();
    await this.#connectors[Symbol.asyncDispose]();
    await this.#deviceService[Symbol.asyncDispose]();
    await this.#pipeline[Symbol.asyncDispose]();
    await this.#statistics[Symbol.asyncDispose]();
    await this.#remote[Symbol.asyncDispose]();
    this.#extensions?.[Symbol.dispose]();
    this.#own[Symbol.dispose]();
    await this.#views[Symbol.asyncDispose]();
    this.#stamps[Symbol.dispose]();
    await this.#logLedger();
    await this.#delivery.stop(this.#setup.storage.kind === "memory" ? DRAIN_MEMORY_MS : DRAIN_MS);
    this.#log.info("Gateway has stopped");
  }

  /** The account of every value, for whoever reads the log afterwards. */
  async #logLedger(): Promise<void> {
    try {
      const { ledger } = (await this.#delivery.report()).store;
      this.#log.info("Ledger", { ...ledger });
    } catch (error) {
      this.#log.warn("Cannot read the ledger", { error });
    }
  }

  #startConnectors(): void {
    if (this.#setup.statistics !== undefined) {
      this.#statistics.start(this.#setup.statistics);
    }
    this.#errors.unusable(this.#setup.unusable ?? []);
    this.#connectors.start(this.#setup.connectors);
    this.#log.info("Gateway is running", {
      connectors: this.#setup.connectors.length,
      dataDir: this.#setup.dataDir,
    });
  }

  #openConfiguration(platform: PlatformLink): void {
    const { files } = this.#setup;
    if (files !== undefined) {
      this.#configuration = new LiveConfiguration(files, this.#setup, {
        clock: this.#options.clock,
        log: this.#log,
        logs: this.#logs,
        own: this.#own,
        platform,
        delivery: this.#delivery,
        connectors: this.#connectors,
        takeSettings: (setup) => {
          const { shell } = this.#remote;
          const [pipeline, devices, statistics] = [
            this.#pipeline,
            this.#deviceService,
            this.#statistics,
          ];
          const views = this.#views;
          const parts = { log: this.#log, pipeline, devices, statistics, shell, views };
          changeSettings(this.#setup, setup, parts);
          this.#setup = { ...setup, files };
          this.#errors.unusable(setup.unusable ?? []);
        },
      });
    }
  }

  #buildStatus(): StatusReader {
    return new StatusReader({
      clock: this.#options.clock,
      dataDir: this.#setup.dataDir,
      storage: () => this.#setup.storage,
      secrets: this.#logs.secrets,
      observation: this.#observation,
      delivery: this.#delivery,
      stamps: this.#stamps,
      logs: () => this.#remote.logStatus,
      calls: () => this.rpc,
      reports: () => this.#pipeline.reportCounters,
      devices: this.#devices,
      connectors: () => this.#connectors.supervisors,
      extensions: this.#extensions,
      unusable: () => this.#setup.unusable ?? [],
    });
  }

  #openDownlinks(parts: GatewayParts): DownlinkServices {
    const { dataDir, syncsAttributes = true } = this.#setup;
    const { clock, onRestart } = this.#options;
    return new DownlinkServices({
      ...parts,
      clock,
      log: this.#log,
      dataDir,
      publisher: parts.delivery,
      devices: this.#devices,
      keepDevices: () => this.#deviceService.kept(),
      directory: this.#directory,
      counters: this.#counters,
      configured: () => this.#connectors.setups,
      allowsReboot: () => this.#setup.allowReboot === true,
      syncsAttributes,
      restart: onRestart,
    });
  }

  #openExtensions({ own }: GatewayParts): ExtensionServices | undefined {
    const { clock, extensions } = this.#options;
    const acceptOwn: HostServices["acceptOwn"] = (data, signal) =>
      this.#pipeline.acceptOwn(data, signal);
    return (
      extensions &&
      new ExtensionServices(extensions, {
        clock,
        log: this.#logs.logger("extension"),
        gateway: gatewayUplink({ acceptOwn }, () => undefined),
        publish: (values) => own.publish(values),
        setMethods: (methods) => this.#down.setExtensionMethods(methods),
      })
    );
  }

  #creatingOptions(): CreateOptions {
    const { clock, extensions, isolationLimits: limits } = this.#options;
    return {
      clock,
      dataDir: this.#setup.dataDir,
      level: (name) => this.#logs.levels.connector(name, "connector"),
      limits,
      extensions: extensions?.settings,
      onLookup: (id, lookup, end) => this.#extensions?.uses.note(id, lookup, end),
    };
  }

  #buildPipeline(parts: GatewayParts): Pipeline {
    const { clock } = parts.stamps;
    const lossLog = rateLimited(this.#log, clock);
    return new Pipeline({
      clock,
      sink: parts.delivery,
      log: this.#log,
      reports: this.#setup.reports,
      latencyDebug: this.#setup.latencyDebug,
      onLost: (error) =>
        lossLog.error("Cannot store data of a source that does not wait", { error }),
      onReported: (connectorId, records) =>
        this.#counters.count(connectorId, "storageMsgPushed", records),
    });
  }

  #buildServices({ delivery, platform, stamps }: GatewayParts): HostServices {
    const { attributes, claim } = this.#down;
    return hostServices({
      delivery,
      platform,
      attributes,
      claim,
      clock: stamps.clock,
      dataDir: this.#setup.dataDir,
      pipeline: this.#pipeline,
      devices: this.#devices,
      observation: this.#observation,
      extensions: this.#extensions,
      logs: this.#logs,
    });
  }
}

/** What must exist before the gateway does. */
interface GatewayParts {
  readonly downlinks: Downlinks;
  readonly delivery: DeliveryClient;
  readonly devices: DeviceService;
  readonly stamps: StampClock;
  readonly platform: PlatformLink;
  readonly announced: Announced;
  readonly own: OwnAttributes;
  readonly observation: Observation;
  readonly views: LocalViews;
  readonly logs: LogSettings;
  readonly remote: RemoteServices;
}
