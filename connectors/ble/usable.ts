import { errorText, RejectedError } from "#sdk/errors";
import type { Characteristic } from "./gatt-client.ts";
import type { PeripheralLink } from "./link.ts";
import { targetText } from "./target.ts";
import type { BoundItem, ItemGroup } from "./uplink.ts";

/**
 * The characteristics of items, each once however it is named and whatever number of items it feeds. One that is not there, or has none
 * of `properties`, is left out and told of.
 */
export function usableItems(
  link: PeripheralLink,
  groups: readonly ItemGroup[],
  wish: {
    readonly properties: readonly string[];
    warn(characteristic: string, reason: string): void;
  },
): ReadonlyMap<Characteristic, readonly BoundItem[]> {
  const { properties } = wish;
  const usable = new Map<Characteristic, readonly BoundItem[]>();
  for (const { target, items } of groups) {
    try {
      const found = link.find(target);
      if (!properties.some((property) => found.properties.includes(property))) {
        const has = found.properties.join(", ");
        throw new RejectedError(`It cannot ${properties.join(" or ")}: it has ${has}`);
      }
      usable.set(found, [...(usable.get(found) ?? []), ...items]);
    } catch (error) {
      if (!(error instanceof RejectedError)) {
        throw error;
      }
      wish.warn(targetText(target), errorText(error));
    }
  }
  return usable;
}
