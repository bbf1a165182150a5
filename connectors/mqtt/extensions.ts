import type { ConnectorHost } from "#sdk/connector";
import type { DownlinkConverter } from "#sdk/converter";
import { errorText } from "#sdk/errors";
import type { RequestEntry } from "./config.ts";

/** Entries of a list of requests, and the extensions that make payloads for some of them. */
export interface Converted<Entry> {
  /** Without those whose extension cannot be used. */
  readonly entries: readonly Entry[];
  readonly converters: ReadonlyMap<Entry, DownlinkConverter<Entry>>;
}

/** Finds the extensions of a list of requests. An entry whose extension cannot be used costs only itself. */
export async function createConverters<
  Entry extends { readonly converter?: { readonly extension: string } | undefined },
>(list: readonly RequestEntry<Entry>[], host: ConnectorHost): Promise<Converted<Entry>> {
  const entries: Entry[] = [];
  const converters = new Map<Entry, DownlinkConverter<Entry>>();
  for (const { path, entry } of list) {
    const name = entry.converter?.extension;
    try {
      if (name !== undefined) {
        converters.set(entry, await host.converters.downlink<Entry>(name, entry));
      }
      entries.push(entry);
    } catch (error) {
      host.log.error("Request is switched off", { request: path, error: errorText(error) });
    }
  }
  return { entries, converters };
}
