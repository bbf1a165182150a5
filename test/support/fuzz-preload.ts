// Loaded before the tests by scripts/fuzz.ts: properties that say no number of their own get more examples too.
import fc from "fast-check";
import { runs } from "./property-runs.ts";

const USUAL = 100;

fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: runs(USUAL) });
