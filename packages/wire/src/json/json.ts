import { StatusError } from "@cortado/std/status";

/** Containers inside containers that a document may have; guards every walker that recurses. */
export const JSON_DEPTH_MAX = 200;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
// A run this long may be a number that a double cannot hold; anything shorter is exact.
const maybeLongNumber = /[0-9]{16,}/;

/**
 * Reads JSON without losing digits: whole numbers beyond 2^53 become bigint. `__proto__` is a key like any other.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return maybeLongNumber.test(text) ? JSON.parse(text, keepDigits as Reviver) : JSON.parse(text);
}

/** Bytes of UTF-8 to a value. @throws SyntaxError, or TypeError when it is not UTF-8 */
export function decodeJson(bytes: Uint8Array): unknown {
  return parseJson(decoder.decode(bytes));
}

/** A value to JSON text, bigint as plain digits. */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, writeDigits);
  }
}

export function encodeJson(value: unknown): Uint8Array {
  return encoder.encode(jsonText(value));
}

type Reviver = (key: string, value: unknown) => unknown;
type RawJson = { rawJSON(text: string): unknown };

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value) || context?.source === undefined) return value;
  return /^-?[0-9]+$/.test(context.source) ? BigInt(context.source) : value;
}

function writeDigits(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? (JSON as unknown as RawJson).rawJSON(value.toString()) : value;
}

type Frame = { readonly keys: Set<string> | undefined; at: string | number };

/**
 * Paths of keys that a JSON text gives twice, as Kubernetes writes them (`spec.containers[0].image`), each once.
 * The text must be JSON already.
 * @throws StatusError "BadRequest" when it is nested deeper than JSON_DEPTH_MAX
 */
export function duplicateKeys(text: string): readonly string[] {
  const frames: Frame[] = [];
  const found = new Set<string>();
  let key: string | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charCodeAt(at);
    if (letter === quote) {
      const end = stringEnd(text, at);
      key = text.slice(at, end + 1);
      at = end;
    } else if (letter === colon) nameKey({ frames, found, quoted: key ?? '""' });
    else if (letter === openBrace || letter === openBracket) open(frames, letter === openBrace);
    else if (letter === closeBrace || letter === closeBracket) frames.pop();
    else if (letter === comma) advance(frames.at(-1));
  }
  return [...found];
}

const [quote, colon, comma, openBrace, closeBrace, openBracket, closeBracket, backslash] = [
  34, 58, 44, 123, 125, 91, 93, 92,
];

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

function open(frames: Frame[], isObject: boolean): void {
  if (frames.length >= JSON_DEPTH_MAX)
    throw new StatusError(
      "BadRequest",
      `the document is nested deeper than ${JSON_DEPTH_MAX} levels; make it flatter`,
    );
  frames.push(isObject ? { keys: new Set(), at: "" } : { keys: undefined, at: 0 });
}

function advance(frame: Frame | undefined): void {
  if (frame !== undefined && typeof frame.at === "number") frame.at += 1;
}

function nameKey({
  frames,
  found,
  quoted,
}: {
  frames: readonly Frame[];
  found: Set<string>;
  quoted: string;
}): void {
  const frame = frames.at(-1);
  if (frame?.keys === undefined) return;
  const key = JSON.parse(quoted) as string;
  frame.at = key;
  if (frame.keys.has(key)) found.add(pathText(frames));
  frame.keys.add(key);
}

function pathText(frames: readonly Frame[]): string {
  let path = "";
  for (const { at } of frames) path += typeof at === "number" ? `[${at}]` : path === "" ? at : `.${at}`;
  return path;
}

/** @throws StatusError "BadRequest" when a value is nested deeper than JSON_DEPTH_MAX */
export function checkDepth(value: unknown, depth = 0): void {
  if (depth > JSON_DEPTH_MAX)
    throw new StatusError(
      "BadRequest",
      `the document is nested deeper than ${JSON_DEPTH_MAX} levels; make it flatter`,
    );
  if (typeof value !== "object" || value === null) return;
  for (const child of Array.isArray(value) ? value : Object.values(value)) checkDepth(child, depth + 1);
}
