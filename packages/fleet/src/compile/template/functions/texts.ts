import { RE2JS } from "@bufbuild/re2";
import { messageOf } from "@cortado/std/status";
import { TEMPLATE_BYTES_MAX } from "../../../limits.ts";
import { goText } from "../go-text.ts";
import { anyCount, type Arguments, type FunctionTable } from "./arguments.ts";

// By a name of its own: an object has a toString already, and its type would count.
const shown: FunctionTable[string] = [1, 1, (given) => textOf(given)];

/** sprig's functions for text. */
export const texts: FunctionTable = {
  upper: [1, 1, (given) => given.text(0).toUpperCase()],
  lower: [1, 1, (given) => given.text(0).toLowerCase()],
  title: [
    1,
    1,
    (given) => given.text(0).replaceAll(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (all) => all.toUpperCase()),
  ],
  untitle: [1, 1, (given) => given.text(0).replaceAll(/(^|\s)(\S)/g, (all) => all.toLowerCase())],
  swapcase: [1, 1, (given) => Array.from(given.text(0), swapped).join("")],
  trim: [1, 1, (given) => given.text(0).trim()],
  trimAll: [2, 2, (given) => trimmed(given, true, true)],
  trimall: [2, 2, (given) => trimmed(given, true, true)],
  trimSuffix: [2, 2, (given) => cutEnd(given.text(1), given.text(0))],
  trimPrefix: [2, 2, (given) => cutStart(given.text(1), given.text(0))],
  contains: [2, 2, (given) => given.text(1).includes(given.text(0))],
  hasPrefix: [2, 2, (given) => given.text(1).startsWith(given.text(0))],
  hasSuffix: [2, 2, (given) => given.text(1).endsWith(given.text(0))],
  repeat: [2, 2, repeat],
  substr: [3, 3, substr],
  nospace: [1, 1, (given) => given.text(0).replaceAll(/\s+/g, "")],
  trunc: [2, 2, (given) => truncated(given.whole(0), given.text(1))],
  abbrev: [2, 2, (given) => abbreviated(given.whole(0), given.text(1))],
  initials: [
    1,
    1,
    (given) =>
      given
        .text(0)
        .split(/\s+/)
        .map((word) => [...word][0] ?? "")
        .join(""),
  ],
  cat: [0, anyCount, (given) => joinable(given.values).join(" ")],
  indent: [2, 2, (given) => indented(given)],
  nindent: [2, 2, (given) => `\n${indented(given)}`],
  replace: [3, 3, replace],
  snakecase: [1, 1, (given) => words(given.text(0)).join("_")],
  kebabcase: [1, 1, (given) => words(given.text(0)).join("-")],
  camelcase: [
    1,
    1,
    (given) =>
      words(given.text(0))
        .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
        .join(""),
  ],
  quote: [
    0,
    anyCount,
    (given) =>
      joinable(given.values)
        .map((text) => JSON.stringify(text))
        .join(" "),
  ],
  squote: [
    0,
    anyCount,
    (given) =>
      joinable(given.values)
        .map((text) => `'${text}'`)
        .join(" "),
  ],
  toString: shown,
  toStrings: [1, 1, (given) => stringList(given.any(0))],
  join: [2, 2, (given) => stringList(given.any(1)).join(given.text(0))],
  splitList: [2, 2, (given) => given.text(1).split(given.text(0))],
  split: [2, 2, (given) => numbered(given.text(1).split(given.text(0)))],
  splitn: [3, 3, splitn],
  sortAlpha: [1, 1, (given) => stringList(given.any(0)).toSorted((one, other) => (one < other ? -1 : 1))],
  regexMatch: [2, 2, regexMatch],
  mustRegexMatch: [2, 2, regexMatch],
  regexQuoteMeta: [1, 1, (given) => RE2JS.quote(given.text(0))],
  fail: [
    1,
    1,
    (given) => {
      throw given.fault(`says: ${given.text(0)}`);
    },
  ],
};

function textOf(given: Arguments): string {
  given.run.weigh(given.any(0));
  return goText(given.any(0), true);
}

function joinable(values: readonly unknown[]): readonly string[] {
  return values.flatMap((value) => (value === null || value === undefined ? [] : [goText(value)]));
}

function stringList(value: unknown): readonly string[] {
  if (Array.isArray(value)) return joinable(value);
  return value === null || value === undefined ? [] : [goText(value)];
}

function swapped(letter: string): string {
  const upper = letter.toUpperCase();
  return letter === upper ? letter.toLowerCase() : upper;
}

function trimmed(given: Arguments, start: boolean, end: boolean): string {
  const signs = new Set(given.text(0));
  const letters = [...given.text(1)];
  let [from, to] = [0, letters.length];
  while (start && from < to && signs.has(letters[from] as string)) from += 1;
  while (end && to > from && signs.has(letters[to - 1] as string)) to -= 1;
  return letters.slice(from, to).join("");
}

function cutEnd(text: string, end: string): string {
  return end !== "" && text.endsWith(end) ? text.slice(0, -end.length) : text;
}

function cutStart(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : text;
}

function repeat(given: Arguments): string {
  const [count, text] = [given.whole(0), given.text(1)];
  if (count < 0) throw given.fault("wants a count that is not negative");
  if (count * text.length > TEMPLATE_BYTES_MAX)
    throw given.fault(`makes more than ${TEMPLATE_BYTES_MAX} characters`);
  return text.repeat(count);
}

function substr(given: Arguments): string {
  const [from, to] = [given.whole(0), given.whole(1)];
  const bytes = new TextEncoder().encode(given.text(2));
  const end = to < 0 || to > bytes.length ? bytes.length : to;
  return new TextDecoder().decode(bytes.slice(Math.max(from, 0), end));
}

function truncated(count: number, text: string): string {
  if (count >= 0) return text.length > count ? text.slice(0, count) : text;
  return text.length > -count ? text.slice(count) : text;
}

function abbreviated(width: number, text: string): string {
  return width < 4 || text.length <= width ? text : `${text.slice(0, width - 3)}...`;
}

function indented(given: Arguments): string {
  const [count, text] = [given.whole(0), given.text(1)];
  const lines = text.split("\n");
  if (count < 0 || text.length + lines.length * count > TEMPLATE_BYTES_MAX)
    throw given.fault(`makes more than ${TEMPLATE_BYTES_MAX} characters`);
  const blanks = " ".repeat(count);
  return lines.map((line) => blanks + line).join("\n");
}

function replace(given: Arguments): string {
  const [from, to, text] = [given.text(0), given.text(1), given.text(2)];
  const parts = from === "" ? ["", ...text, ""] : text.split(from);
  const length = text.length + (parts.length - 1) * to.length;
  if (length > TEMPLATE_BYTES_MAX) throw given.fault(`makes more than ${TEMPLATE_BYTES_MAX} characters`);
  return parts.join(to);
}

function words(text: string): readonly string[] {
  return text
    .replaceAll(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1 $2")
    .replaceAll(/(\p{Lu}+)(\p{Lu}\p{Ll})/gu, "$1 $2")
    .split(/[\s_.-]+/)
    .filter((word) => word !== "")
    .map((word) => word.toLowerCase());
}

function numbered(parts: readonly string[]): object {
  return Object.fromEntries(parts.map((part, index) => [`_${index}`, part]));
}

function splitn(given: Arguments): object {
  const [separator, count, text] = [given.text(0), given.whole(1), given.text(2)];
  const parts = text.split(separator);
  if (count <= 0 || parts.length <= count) return numbered(parts);
  return numbered([...parts.slice(0, count - 1), parts.slice(count - 1).join(separator)]);
}

function regexMatch(given: Arguments): boolean {
  const pattern = given.text(0);
  given.run.step(pattern.length + given.text(1).length);
  try {
    return RE2JS.compile(pattern).test(given.text(1));
  } catch (error) {
    throw given.fault(`cannot read the pattern ${JSON.stringify(pattern)}: ${messageOf(error)}`);
  }
}
