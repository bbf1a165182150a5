import type { Json } from "#sdk/model";

/**
 * A method of the gateway itself, called by an RPC to the gateway's own device. `params` is `undefined` when the call has none. What
 * it returns is the answer. It must settle when `signal` aborts: nobody waits for the answer any more then. @throws RpcError to choose the code
 */
export type GatewayMethod = (params: Json | undefined, signal: AbortSignal) => Promise<Json>;

/** Methods by their full name: `gateway_ping`, `getTermInfo`. */
export type GatewayMethods = ReadonlyMap<string, GatewayMethod>;
