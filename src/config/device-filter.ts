import * as v from "valibot";
import { entries, field } from "#sdk/config";
import { compilePythonRegex } from "#sdk/python-regex";

const pattern = v.pipe(v.string(), v.check(isPattern, "is not a regular expression"));

/** The file that `thingsboard.deviceFiltering.filterFile` names. */
export const deviceFilter = v.looseObject({
  // A bad expression costs itself alone here,
  deny: field(
    v.record(v.string(), entries(pattern)),
    {},
    {
      doc: "By connector name: regular expressions in Python's syntax of whole device names whose data is left out. Looked at first.",
      examples: [{ "MQTT Broker Connector": ["Test .*"] }],
    },
  ),
  // and the whole list of its connector here: a list that lacks one would keep good data out.
  allow: field(
    v.record(v.string(), v.array(pattern)),
    {},
    {
      doc: "By connector name: when a connector has a list here, only devices whose whole name matches pass.",
    },
  ),
});

/** The parsed device filter file. */
export type DeviceFilterRules = v.InferOutput<typeof deviceFilter>;

function isPattern(text: string): boolean {
  try {
    compilePythonRegex(text);
    return true;
  } catch {
    return false;
  }
}
