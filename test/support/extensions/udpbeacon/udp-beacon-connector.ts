// Devices that send datagrams, each from its address; a call makes one blink.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import {
  type DeviceMessage,
  defineConnector,
  encodeJson,
  entries,
  RpcError,
  supervise,
  TransientError,
  type UplinkConverter,
} from "tbgw/sdk";
import * as v from "valibot";

const Device = v.looseObject({
  name: v.string(),
  address: v.pipe(v.string(), v.ipv4()),
  converter: v.string(),
});

export default defineConnector({
  name: "UdpBeaconConnector",
  type: "udpbeacon",
  schema: v.looseObject({ port: v.optional(v.number(), 9100), devices: entries(Device) }),
  async create({ port, devices }, host) {
    const byAddress = new Map<
      string,
      { deviceName: string; convert: UplinkConverter<DeviceMessage> }
    >();
    for (const device of devices) {
      try {
        const convert = await host.converters.uplink<DeviceMessage>(device.converter, device);
        byAddress.set(device.address, { deviceName: device.name, convert });
      } catch (error) {
        host.log.error("Cannot use the converter of a device", { device: device.name, error }); // The others go on.
      }
    }
    let socket: Socket | undefined; // Open while the link is up.

    function receive(payload: Uint8Array, address: string): void {
      const beacon = byAddress.get(address);
      if (beacon === undefined) return host.metrics.rejected("unknown-address");
      const { deviceName, convert } = beacon;
      for (const data of convert({ payload, deviceName, address, receivedTs: host.clock.now() })) {
        host.uplink.tryAccept(data); // A datagram cannot be acknowledged or held back; the host counts an overflow.
      }
    }
    async function listen(signal: AbortSignal, healthy: () => void): Promise<void> {
      const link = createSocket("udp4").on("message", (payload, from) =>
        receive(payload, from.address),
      );
      try {
        link.bind(port);
        await once(link, "listening", { signal });
        socket = link;
        healthy();
        host.setStatus("connected");
        await once(link, "close", { signal }); // An "error" event rejects it.
      } catch (cause) {
        signal.throwIfAborted();
        throw new TransientError(`Cannot receive on UDP port ${port}`, { cause });
      } finally {
        socket = undefined;
        host.setStatus("disconnected");
        link.close();
      }
    }
    return {
      run: (signal) => supervise({ name: `UDP port ${port}`, host, run: listen }, signal),
      async handleRpc({ deviceName, method, params }) {
        const device = devices.find(({ name }) => name === deviceName);
        if (device === undefined || method !== "blink")
          throw new RpcError(`Cannot run "${method}" on "${deviceName}"`, 404);
        const link = socket;
        if (link === undefined) throw new RpcError("The UDP socket is closed", 503);
        await new Promise<void>((resolve, reject) => {
          link.send(encodeJson(params), port, device.address, (error) =>
            error ? reject(error) : resolve(),
          );
        });
      },
      async [Symbol.asyncDispose]() {}, // `listen` closes what it opens.
    };
  },
});
