import type { ConnectorHost } from "#sdk/connector";
import type { Adapter } from "./adapter.ts";

/** Peripherals that are listed at most. */
const MAX_LISTED = 1000;

/** Looks around once and logs who is there. Then waits until `signal` aborts. */
export async function showAround(
  adapter: Adapter,
  options: {
    readonly host: Pick<ConnectorHost, "clock" | "log">;
    readonly scanner: { readonly timeout: number; readonly deviceName?: string | undefined };
  },
  signal: AbortSignal,
): Promise<void> {
  const { host, scanner } = options;
  const names = new Map<string, string | null>();
  {
    using _observing = adapter.observe((peripheral) => {
      const address = peripheral.address.toUpperCase();
      if (names.has(address) || names.size < MAX_LISTED) {
        names.set(address, peripheral.advertisement.localName ?? names.get(address) ?? null);
      }
    });
    await host.clock.sleep(scanner.timeout, signal);
  }
  const { deviceName } = scanner;
  const shown = [...names].filter(([, name]) => deviceName === undefined || name === deviceName);
  host.log.info("Bluetooth peripherals around", {
    map: shown.length === 0 ? "nothing to show" : JSON.stringify(Object.fromEntries(shown)),
  });
  for (;;) {
    await host.clock.sleep(86_400_000, signal);
  }
}
