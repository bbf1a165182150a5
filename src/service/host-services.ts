import type { HostServices } from "../connector/host.ts";
import type { DeliveryClient } from "../delivery/client.ts";
import type { LogSettings } from "../logging/settings.ts";
import type { Pipeline, UplinkListener } from "../pipeline/uplink.ts";
import type { Devices } from "./devices.ts";
import type { DownlinkServices } from "./downlink-services.ts";
import type { ExtensionServices } from "./extension-services.ts";
import type { Observation } from "./observation.ts";

/** The parts of a gateway that connectors reach through their hosts. */
export interface HostParts
  extends Pick<HostServices, "clock" | "dataDir" | "platform">,
    Pick<DownlinkServices, "attributes" | "claim"> {
  readonly pipeline: Pipeline;
  readonly delivery: DeliveryClient;
  readonly devices: Devices;
  readonly observation: Observation;
  readonly extensions: ExtensionServices | undefined;
  readonly logs: LogSettings;
}

/** What the host of each connector is built from. */
export function hostServices(parts: HostParts): HostServices {
  const { pipeline, delivery, devices, observation, extensions, logs, ...same } = parts;
  const { counters, health, links } = observation;
  return {
    ...same,
    uplinkOf: (connector) => {
      const { id, name, reportStrategy } = connector;
      const listener: UplinkListener = {
        onDevice: (deviceName, deviceType) => {
          delivery.working(name);
          health.read(deviceName);
          return devices.connect(deviceName, deviceType, connector);
        },
        onStored: (records) => counters.count(id, "storageMsgPushed", records),
      };
      return pipeline.uplinkOf(listener, { id, name, strategy: reportStrategy });
    },
    acceptOwn: (data, signal) => pipeline.acceptOwn(data, signal),
    countRejected: (connectorId, reason, values) => {
      counters.countRejected(connectorId, reason, values);
      delivery.countRejected(reason, values);
    },
    count: (connectorId, name, by) => counters.count(connectorId, name, by),
    devices,
    deviceFailed: (deviceName, error) => health.failed(deviceName, error),
    working: (connector, converter) => delivery.working(connector, converter),
    extensions: extensions?.uses,
    logger: (connector, channel) => logs.connectorLogger(connector, channel),
    onStatus: (connectorId, status, detail) => {
      links.set(connectorId, { status, detail });
    },
  };
}
