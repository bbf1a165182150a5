// Rewrites CHANGELOG.md from the subjects of feat, fix and perf commits: `bun scripts/changelog.ts`.
import { join } from "node:path";

const root = join(import.meta.dir, "..");

/** Headings in their order, by commit type. */
const SECTIONS = { feat: "Added", fix: "Fixed", perf: "Faster" } as const;

const git = (args: readonly string[]): string =>
  Bun.spawnSync(["git", ...args], { cwd: root })
    .stdout.toString()
    .trim();

/** The commits of one range as Markdown; empty when none of them changes anything for a user. */
function section(title: string, range: string): string {
  const subjects = git(["log", "--format=%s", range]).split("\n");
  const parts: string[] = [];
  for (const [type, heading] of Object.entries(SECTIONS)) {
    const lines = subjects.flatMap((subject) => {
      const match = new RegExp(`^${type}(?:\\(([^)]+)\\))?!?: (.+)$`).exec(subject);
      return match === null
        ? []
        : [`- ${match[1] === undefined ? "" : `**${match[1]}**: `}${match[2]}`];
    });
    if (lines.length > 0) {
      parts.push(`### ${heading}\n\n${lines.join("\n")}\n`);
    }
  }
  return parts.length === 0 ? "" : `## ${title}\n\n${parts.join("\n")}\n`;
}

const tags = git(["tag", "--list", "v*", "--sort=-version:refname"]).split("\n").filter(Boolean);
const ranges = [
  { title: "Unreleased", range: tags[0] === undefined ? "HEAD" : `${tags[0]}..HEAD` },
  ...tags.map((tag, index) => {
    const before = tags[index + 1];
    return { title: tag, range: before === undefined ? tag : `${before}..${tag}` };
  }),
];
const body = ranges.map(({ title, range }) => section(title, range)).join("");
await Bun.write(
  join(root, "CHANGELOG.md"),
  `# Changelog\n\nMade from the commits by \`scripts/changelog.ts\`.\n\n${body}`
    .trimEnd()
    .concat("\n"),
);
