import { resolve } from "node:path";
import { defineCommand } from "citty";
import { UsageError } from "../flags.ts";
import { COMMON_ARGS, commonOf } from "./check.ts";
import { runTask } from "./task.ts";

/** How long a connector runs when nothing is said. */
const SECONDS = 10;

/** `tbgw extension test` */
export const testCommand = defineCommand({
  meta: {
    name: "test",
    description:
      "Run the tests of an extension, a converter once, or a connector with a platform in memory",
  },
  args: {
    ...COMMON_ARGS,
    input: {
      type: "string",
      valueHint: "FILE",
      description:
        "What to convert: a payload (.hex: as hexadecimal digits), a read as JSON, a value or parameters as JSON",
    },
    topic: { type: "string", valueHint: "TOPIC", description: "Topic of an MQTT message" },
    device: { type: "string", valueHint: "NAME", description: "Device the input comes from" },
    seconds: {
      type: "string",
      valueHint: "N",
      description: `How long a connector runs (default: ${SECONDS})`,
    },
    rpc: {
      type: "string",
      valueHint: "JSON",
      description:
        'Calls to a connector after its first record: {"device":…,"method":…,"params":…}, or a list',
    },
    attributes: {
      type: "string",
      valueHint: "JSON",
      description: 'Shared attributes that change: {"device":…,"values":{…}}, or a list',
    },
  },
  run: async ({ args }) => {
    const seconds = Number(args.seconds ?? SECONDS);
    if (!(seconds > 0)) {
      throw new UsageError(`--seconds must be a number above 0, but is "${args.seconds}"`);
    }
    const { topic, device, rpc, attributes } = args;
    const input = args.input === undefined ? undefined : resolve(args.input);
    const options = { input, topic, device, seconds, rpc, attributes };
    return await runTask({ kind: "test", ...commonOf(args), ...options });
  },
});
