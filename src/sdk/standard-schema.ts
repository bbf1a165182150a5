/** Any Standard Schema v1 (valibot ≥ 1, zod, arktype …) that validates synchronously. */
export interface StandardSchema<In = unknown, Out = In> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Out> | Promise<StandardResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}
/** The value, or what is wrong with the input and where. */
export type StandardResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };
/** What a schema gives after it has checked its input. */
export type Output<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** What `define…` returns: the argument and two tags. A plain object literal with the two is as good. */
export interface Tag<Kind extends "connector" | "uplink" | "downlink" | "rpc"> {
  readonly kind: Kind;
  readonly api: 1;
}
