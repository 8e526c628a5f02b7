import { StatusError } from "@cortado/std/status";

export type Token =
  | { readonly kind: "field" | "variable" | "word"; readonly text: string; readonly glued: boolean }
  | { readonly kind: "string" | "number"; readonly value: string | number; readonly glued: boolean }
  | { readonly kind: "sign"; readonly text: string; readonly glued: boolean };

/** What stands between actions, or one action. */
export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "action";
      readonly tokens: readonly Token[];
      /** As it is written, delimiters and all. */
      readonly source: string;
    };

export type Delimiters = { readonly left: string; readonly right: string };

/** Cuts a template into text and actions (Go, text/template/parse/lex.go). @throws StatusError "Invalid" that names the action */
export function cutTemplate(text: string, { left, right }: Delimiters): readonly Piece[] {
  const pieces: Piece[] = [];
  let trimsNext = false;
  let at = 0;
  const addText = (raw: string, trimsEnd: boolean): void => {
    let kept = trimsNext ? raw.trimStart() : raw;
    if (trimsEnd) kept = kept.trimEnd();
    if (kept !== "") pieces.push({ kind: "text", text: kept });
  };
  for (;;) {
    const open = text.indexOf(left, at);
    if (open === -1) break;
    let from = open + left.length;
    const trimsEnd = /^-[ \t\r\n]/.test(text.slice(from, from + 2));
    addText(text.slice(at, open), trimsEnd);
    if (trimsEnd) from += 2;
    const end = endOfAction(text, { open, from, right });
    trimsNext = end.trims;
    at = end.next;
    const source = text.slice(open, end.next);
    if (!end.isComment)
      pieces.push({ kind: "action", tokens: tokensOf(text.slice(from, end.close), source), source });
  }
  addText(text.slice(at), false);
  return pieces;
}

type ActionEnd = {
  readonly close: number;
  readonly next: number;
  readonly trims: boolean;
  readonly isComment: boolean;
};

function endOfAction(
  text: string,
  { open, from, right }: { readonly open: number; readonly from: number; readonly right: string },
): ActionEnd {
  if (text.startsWith("/*", from)) {
    const close = text.indexOf("*/", from);
    const rest = close === -1 ? "" : text.slice(close + 2);
    const trims = /^[ \t\r\n]-/.test(rest) && rest.startsWith(right, 2);
    if (close === -1 || (!trims && !rest.startsWith(right)))
      throw fault(shown(text, open), `a comment ends with */${right}`);
    return { close, next: close + 2 + (trims ? 2 : 0) + right.length, trims, isComment: true };
  }
  for (let at = from; at < text.length; at += 1) {
    const sign = text[at] as string;
    if (sign === '"' || sign === "'" || sign === "`") at = endOfQuote(text, at, open);
    else if (text.startsWith(right, at)) {
      const trims = at >= from + 2 && /[ \t\r\n]-$/.test(text.slice(at - 2, at));
      return { close: trims ? at - 2 : at, next: at + right.length, trims, isComment: false };
    }
  }
  throw fault(shown(text, open), `it is never closed by ${right}`);
}

/** Index of the closing quote. */
function endOfQuote(text: string, from: number, open: number): number {
  const quote = text[from];
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === quote) return at;
    if (quote === "`") continue;
    if (text[at] === "\n") break;
    if (text[at] === "\\") at += 1;
  }
  throw fault(shown(text, open), `the quote ${quote} is never closed`);
}

function shown(text: string, open: number): string {
  return text.slice(open, open + 40).split("\n")[0] ?? "";
}

/** What is wrong with an action; the action alone is the error's `details.name`. */
export function fault(source: string, message: string, options: ErrorOptions = {}): StatusError {
  return new StatusError("Invalid", `${source}: ${message}`, { ...options, details: { name: source } });
}

const patterns: readonly (readonly [Token["kind"], RegExp])[] = [
  ["string", /"(?:[^"\\\n]|\\.)*"|`[^`]*`/y],
  [
    "number",
    /'(?:[^'\\\n]|\\.)+'|[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/y,
  ],
  ["field", /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ["variable", /\$(?:[\p{L}_][\p{L}\p{N}_]*)?/uy],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["sign", /:=|[=|(),.]/y],
];

function tokensOf(action: string, source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let glued = false;
  while (at < action.length) {
    if (/\s/.test(action[at] as string)) {
      at += 1;
      glued = false;
      continue;
    }
    const found = tokenAt(action, at, source);
    if (found === undefined) throw fault(source, `unexpected ${JSON.stringify(action[at])}`);
    tokens.push({ ...found.token, glued });
    at += found.length;
    glued = true;
  }
  return tokens;
}

function tokenAt(
  action: string,
  at: number,
  source: string,
): { readonly token: Token; readonly length: number } | undefined {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const [text] = pattern.exec(action) ?? [];
    if (text === undefined) continue;
    const glued = false;
    const { length } = text;
    if (kind === "string") return { token: { kind, value: unquote(text, source), glued }, length };
    if (kind === "number") return { token: { kind, value: numberOf(text, source), glued }, length };
    const plain = kind === "field" || kind === "variable" ? text.slice(1) : text;
    return { token: { kind, text: plain, glued }, length };
  }
  return undefined;
}

function numberOf(text: string, source: string): number {
  if (text.startsWith("'")) {
    const points = [...unquote(`"${text.slice(1, -1).replaceAll('"', String.raw`\"`)}"`, source)];
    if (points.length !== 1) throw fault(source, `${text} is not one character`);
    return (points[0] as string).codePointAt(0) as number;
  }
  const digits = text.replaceAll("_", "");
  const sign = digits.startsWith("-") ? -1 : 1;
  const plain = digits.replace(/^[-+]/, "");
  const value = sign * Number(/^0[0-7]+$/.test(plain) ? `0o${plain.slice(1)}` : plain);
  if (Number.isNaN(value)) throw fault(source, `${text} is not a number`);
  return value;
}

const escapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function unquote(text: string, source: string): string {
  if (text.startsWith("`")) return text.slice(1, -1);
  const pattern = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/g;
  return text
    .slice(1, -1)
    .replaceAll(pattern, (whole, x?: string, u?: string, long?: string, octal?: string, one?: string) => {
      const hex = x ?? u ?? long;
      if (hex !== undefined) return String.fromCodePoint(Math.min(Number.parseInt(hex, 16), 0x10_ff_ff));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const escaped =
        one === undefined ? undefined : (escapes[one] ?? (/["'\\]/.test(one) ? one : undefined));
      if (escaped === undefined) throw fault(source, `${whole} is no escape`);
      return escaped;
    });
}
