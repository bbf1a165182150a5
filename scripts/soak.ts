// Runs the long modes of the fault suite again and again, each time with another seed: `bun scripts/soak.ts [MINUTES] [FILE…]`. Begins no
// further round after MINUTES (default 60). Files are those of test/fault; default: all. A failed round is printed whole,
// with the seeds that replay it.
import { runRounds } from "./rounds.ts";

const [minutes = "60", ...names] = process.argv.slice(2);
const files = names.length === 0 ? ["test/fault"] : names;
const args = ["--timeout", "900000", ...files];
process.exit(await runRounds({ minutes, args, env: { TBGW_FAULT: "full" } }));
