import type { Clock } from "./clock.ts";
import type { GatewayUplink } from "./connector.ts";
import type { Logger } from "./logger.ts";
import type { Json } from "./model.ts";
import type { Output, StandardSchema, Tag } from "./standard-schema.ts";

/** A method of the gateway itself, written by an integrator. */
export interface RpcSpec<S extends StandardSchema> {
  /** Called as gateway RPC `gateway_<name>`. */
  readonly name: string;
  readonly params: S;
  run(
    params: Output<S>,
    ctx: { readonly log: Logger; readonly clock: Clock; readonly gateway: GatewayUplink },
    signal: AbortSignal,
  ): Promise<Json | void>;
}

/** Tags an RPC method. */
export function defineRpc<const S extends StandardSchema>(
  spec: RpcSpec<S>,
): RpcSpec<S> & Tag<"rpc"> {
  return { ...spec, kind: "rpc", api: 1 };
}
