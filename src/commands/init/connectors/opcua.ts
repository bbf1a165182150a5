import type { JsonRecord } from "../../../config/canonical.ts";
import { objectAt } from "../draft.ts";
import type { Choice, Interview } from "../interview.ts";
import {
  type Assistant,
  given,
  type Look,
  type Looker,
  optionText,
  type ProbeOptions,
  parsePairs,
} from "./assistant.ts";
import { askUser, askValues, unasked } from "./questions.ts";

const NO_SECURITY = "None";

/** The wizard's part for OPC UA. */
export const opcua: Assistant = {
  type: "opcua",
  label: "OPC UA",
  hint: "a server; its nodes are looked through",
  name: "OPC UA",
  shape: {
    devices: ["mapping"],
    name: ["deviceInfo", "deviceNameExpression"],
    lists: [["timeseries"], ["attributes"]],
    key: "key",
  },
  flags: ["target", "username", "password", "password-file", "security", "mode", "node", "depth"],
  where: askWhere,
  refine: askSecurity,
  complete,
  byHand,
};

async function askWhere(interview: Interview): Promise<ProbeOptions> {
  const target = await interview.text({
    flag: "opcua-target",
    message: "Address of the OPC UA server",
    example: "opc.tcp://10.0.0.5:4840",
  });
  const { username, password } = await askUser(interview, "opcua");
  const extra = unasked(interview, "opcua", ["node", "depth", "timeout"]);
  return given({ target, username, password, ...extra });
}

/** Which of the server's endpoints; asked only where there is a choice. */
async function askSecurity(
  interview: Interview,
  options: ProbeOptions,
  look: Looker,
): Promise<ProbeOptions> {
  const flag = interview.flag("opcua-security");
  if (flag !== undefined) {
    const mode = interview.flag("opcua-mode") ?? "SignAndEncrypt";
    return flag === NO_SECURITY ? options : { ...options, security: flag, mode };
  }
  const choices = endpointChoices(await look({ ...options, endpoints: true }));
  const [first, second] = choices;
  if (first === undefined) {
    return options;
  }
  const chosen =
    second === undefined
      ? first.value
      : await interview.choose({
          flag: "opcua-endpoint",
          message: "How is the channel to the server secured?",
          choices,
          fallback: (choices.find(({ value }) => value === NO_SECURITY) ?? first).value,
        });
  const [security = "", mode = ""] = chosen.split("/");
  return security === NO_SECURITY ? options : { ...options, security, mode };
}

/** One choice for each way to secure the channel: `None`, `Basic256Sha256/Sign`. */
export function endpointChoices({ details }: Pick<Look, "details">): readonly Choice[] {
  const values = details.flatMap(({ policy, mode }) =>
    typeof policy === "string" && typeof mode === "string"
      ? [policy === NO_SECURITY ? NO_SECURITY : `${policy}/${mode}`]
      : [],
  );
  return [...new Set(values)].map((value) => ({
    value,
    label: value === NO_SECURITY ? "Not at all" : value.replace("/", ", "),
    ...(value === NO_SECURITY
      ? { hint: "works at once" }
      : { hint: "the server must trust the gateway's certificate first" }),
  }));
}

/** The user as typed in, where a probe writes references. */
function complete(config: JsonRecord, options: ProbeOptions): JsonRecord {
  const server = { ...objectAt(config, "server"), identity: identityOf(options) };
  return { ...config, server };
}

function identityOf(options: ProbeOptions): JsonRecord {
  const username = optionText(options, "username");
  return username === ""
    ? { type: "anonymous" }
    : { type: "basic", username, password: optionText(options, "password") };
}

async function byHand(interview: Interview, options: ProbeOptions): Promise<JsonRecord> {
  const deviceName = await interview.text({
    flag: "opcua-device",
    message: "Name of the device on the platform",
    fallback: "OPC UA device",
  });
  const question = {
    type: "opcua",
    message: "Its values: NAME=NODEID, several separated by commas",
    example: "temperature=ns=2;i=11, running=ns=2;s=Pump.Running",
  };
  const values = await askValues(interview, question, opcuaKeys);
  const target = optionText(options, "target");
  const { security, mode } = options;
  const secured =
    security === undefined ? {} : { security, securityMode: mode ?? "SignAndEncrypt" };
  return {
    server: {
      url: target.includes("://") ? target : `opc.tcp://${target}`,
      ...secured,
      identity: identityOf(options),
    },
    mapping: [
      {
        // The Objects folder is on every server: the device is there when the server is.
        deviceNodePattern: "i=85",
        deviceInfo: { deviceNameExpression: deviceName, deviceProfileExpression: "default" },
        timeseries: opcuaKeys(values),
      },
    ],
  };
}

/** The keys that `temperature=ns=2;i=11` stands for. @throws Error naming what is none */
export function opcuaKeys(text: string): readonly JsonRecord[] {
  return parsePairs(text).map(({ name, rest }) => {
    if (!/^(?:(?:ns=\d+|nsu=[^;]+);)?[isgb]=.+$/.test(rest)) {
      throw new Error(`"${rest}" is not a node id such as ns=2;i=11 or ns=2;s=Pump.Running`);
    }
    return { key: name, value: rest };
  });
}
