// Draws house.json into ARCHITECTURE.md; `--check` only says whether the picture is true.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readHouse, type House } from "./tidy.ts";

const path = join(import.meta.dirname, "..", "ARCHITECTURE.md");
const begin = "<!-- the picture: written by tools/house-picture.ts from house.json -->";
const end = "<!-- end of the picture -->";
const floors = [
  "knows nothing of us",
  "words",
  "two ends of the one API",
  "the trades",
  "faces",
  "the whole",
];

export function picture(house: House): string {
  const lines = ["| floor | room | may import |", "|---|---|---|"];
  for (const [floor, title] of floors.entries())
    for (const [room, { may, because }] of Object.entries(house.rooms).filter(
      ([, one]) => one.floor === floor,
    )) {
      const notes = Object.entries(because ?? {}).map(([door, why]) => ` (${door}: ${why})`);
      lines.push(
        `| ${floor} ${title} | \`${room}\` | ${may.length === 0 ? "nothing" : may.join(", ")}${notes.join("")} |`,
      );
    }
  return lines.join("\n");
}

export function withPicture(text: string, house: House): string {
  const [before = "", rest = ""] = text.split(begin);
  const [, after = ""] = rest.split(end);
  return `${before}${begin}\n\n${picture(house)}\n\n${end}${after}`;
}

if (process.argv[1] === import.meta.filename) {
  const text = readFileSync(path, "utf8");
  const next = withPicture(text, readHouse());
  if (process.argv.includes("--check")) process.exitCode = text === next ? 0 : 1;
  else writeFileSync(path, next);
}
