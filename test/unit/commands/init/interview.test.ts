import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Flags,
  Interview,
  type InterviewOptions,
  type Terminal,
} from "../../../../src/commands/init/interview.ts";
import { temporaryDir } from "../../../support/temporary-dir.ts";

/** Answers each question with the next text; what is left over is the test's to see. */
function person(answers: string[]): Terminal {
  const next = (): string => {
    const answer = answers.shift();
    if (answer === undefined) {
      throw new Error("One question too many");
    }
    return answer;
  };
  return {
    text: async () => await Promise.resolve(next()),
    secret: async () => await Promise.resolve(next()),
    choose: async () => await Promise.resolve(next()),
    select: async () => await Promise.resolve(next().split(",")),
    confirm: async () => await Promise.resolve(next() === "yes"),
    say: () => undefined,
  };
}

function interview(flags: Flags, more: Partial<InterviewOptions> = {}): Interview {
  return new Interview({
    flags,
    env: {},
    terminal: undefined,
    takesDefaults: false,
    say: () => undefined,
    ...more,
  });
}

const HOST = { flag: "host", message: "Host" };
const PORT = { flag: "port", message: "Port", fallback: "1883" };
const KIND = {
  flag: "kind",
  message: "Kind",
  choices: [
    { value: "a", label: "A" },
    { value: "b", label: "B" },
  ],
};

describe("Interview", () => {
  test("an option of the command line goes before the person", async () => {
    const asked = interview({ host: "tb" }, { terminal: person([]) });
    expect(await asked.text(HOST)).toBe("tb");
  });

  test("without an option the person is asked, without a person the default is taken", async () => {
    expect(await interview({}, { terminal: person(["1884"]) }).text(PORT)).toBe("1884");
    expect(await interview({}).text(PORT)).toBe("1883");
  });

  test("defaults are taken without asking, but what has none is asked", async () => {
    const answers = ["tb"];
    const asked = interview({}, { terminal: person(answers), takesDefaults: true });
    expect(await asked.text(PORT)).toBe("1883");
    expect(answers).toEqual(["tb"]);
    expect(await asked.text(HOST)).toBe("tb");
    expect(asked.hasPerson).toBe(false);
  });

  test("what nobody answers names its option", () => {
    expect(interview({}).text(HOST)).rejects.toThrow(/--host is missing/);
    expect(interview({}).choose(KIND)).rejects.toThrow(/--kind is missing/);
    expect(interview({}).secret({ flag: "token", message: "Token" })).rejects.toThrow(/--token/);
  });

  test("a wrong option names itself and what it must be", () => {
    const check = (): string => "must be odd";
    expect(interview({ host: "2" }).text({ ...HOST, check })).rejects.toThrow(
      '--host "2": must be odd',
    );
    expect(interview({ kind: "c" }).choose(KIND)).rejects.toThrow(/must be one of a, b/);
  });

  test("a secret comes from its option, a file without the last line break, or a variable", async () => {
    using dir = temporaryDir();
    const file = join(dir.path, "token");
    writeFileSync(file, "s3cret\n");
    const question = { flag: "token", message: "Token", variable: "TOKEN" };
    expect(await interview({ token: "t" }).secret(question)).toBe("t");
    expect(await interview({ "token-file": file }).secret(question)).toBe("s3cret");
    expect(await interview({}, { env: { TOKEN: "v" } }).secret(question)).toBe("v");
    expect(interview({ "token-file": `${file}x` }).secret(question)).rejects.toThrow(
      /--token-file: cannot read/,
    );
  });

  test("askAgain() asks for what the command line said, with it as the default", async () => {
    const offered: (string | undefined)[] = [];
    const terminal: Terminal = {
      ...person([]),
      text: async ({ fallback }) => {
        offered.push(fallback);
        return await Promise.resolve("better");
      },
    };
    const asked = interview({ host: "bad" }, { terminal });
    expect(await asked.text(HOST)).toBe("bad");
    asked.askAgain("host");
    expect(await asked.text(HOST)).toBe("better");
    expect(offered).toEqual(["bad"]);
  });

  test("suggest() gives defaults, secrets unseen", async () => {
    const asked = interview({});
    asked.suggest({ host: "tb", port: "" }, { token: "s3cret" });
    expect(await asked.text(HOST)).toBe("tb");
    expect(await asked.text(PORT)).toBe("1883");
    expect(await asked.secret({ flag: "token", message: "Token" })).toBe("s3cret");
  });

  test("yes and no come from --FLAG and --no-FLAG", async () => {
    const question = { flag: "tls", message: "TLS?", fallback: false };
    expect(await interview({ tls: true }).confirm(question)).toBe(true);
    expect(await interview({ tls: false }).confirm({ ...question, fallback: true })).toBe(false);
    expect(await interview({}).confirm(question)).toBe(false);
  });
});
