import { StatusError } from "@cortado/std/status";
import { JSON_DEPTH_MAX, parseJson } from "../json/json.ts";

/** number, JSON name, type, message. Types: s text, b bool, i int32, l int64, d double, y bytes, m message; `*` repeats, `@` maps, `~` inline. */
export type MessageField = readonly [number, string, string, string?];
export type MessageLookup = (name: string) => readonly MessageField[] | undefined;

export type KubernetesEnvelope = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
};

type Tree = { [key: string]: unknown };
const text = new TextDecoder("utf-8", { fatal: true });
const magic = [0x6b, 0x38, 0x73, 0x00];

/** Opens `k8s\0` and the runtime.Unknown behind it. @throws StatusError "BadRequest" */
export function readEnvelope(bytes: Uint8Array): KubernetesEnvelope {
  if (!magic.every((byte, index) => bytes[index] === byte))
    throw malformed("it does not begin with k8s and a zero byte");
  let [apiVersion, kind, raw] = ["", "", new Uint8Array() as Uint8Array];
  for (const field of wireFields(bytes.subarray(4))) {
    if (field.number === 2) raw = field.bytes;
    if (field.number !== 1) continue;
    for (const inner of wireFields(field.bytes)) {
      if (inner.number === 1) apiVersion = text.decode(inner.bytes);
      if (inner.number === 2) kind = text.decode(inner.bytes);
    }
  }
  return { apiVersion, kind, raw };
}

function malformed(why: string): StatusError {
  return new StatusError("BadRequest", `the protobuf body cannot be read: ${why}`);
}

type WireField = {
  readonly number: number;
  readonly wire: number;
  readonly bytes: Uint8Array;
  readonly value: bigint;
};

function* wireFields(bytes: Uint8Array): Generator<WireField> {
  const reader = { bytes, at: 0 };
  const none = bytes.subarray(0, 0);
  while (reader.at < bytes.byteLength) {
    const tag = Number(readVarint(reader));
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) yield { number, wire, bytes: none, value: readVarint(reader) };
    else if (wire === 1) yield { number, wire, bytes: take(reader, 8), value: 0n };
    else if (wire === 5) yield { number, wire, bytes: take(reader, 4), value: 0n };
    else if (wire === 2) yield { number, wire, bytes: take(reader, Number(readVarint(reader))), value: 0n };
    else throw malformed(`there is no wire type ${wire}`);
  }
}

type Reader = { readonly bytes: Uint8Array; at: number };

function readVarint(reader: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = reader.bytes[reader.at];
    if (byte === undefined) throw malformed("it ends inside of a number");
    reader.at += 1;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw malformed("a number is longer than ten bytes");
}

function take(reader: Reader, length: number): Uint8Array {
  const end = reader.at + length;
  if (!Number.isSafeInteger(end) || end > reader.bytes.byteLength)
    throw malformed("it ends inside of a field");
  const taken = reader.bytes.subarray(reader.at, end);
  reader.at = end;
  return taken;
}

const machinery = "io.k8s.apimachinery.pkg";
const extensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

// Types whose JSON is not that of their fields.
const special: Readonly<Record<string, (bytes: Uint8Array, context: Context) => unknown>> = {
  [`${machinery}.apis.meta.v1.Time`]: (bytes) => readTime(bytes, 0),
  [`${machinery}.apis.meta.v1.MicroTime`]: (bytes) => readTime(bytes, 6),
  [`${machinery}.apis.meta.v1.Duration`]: (bytes) => durationText(signed(first(bytes, 1)?.value ?? 0n)),
  [`${machinery}.api.resource.Quantity`]: (bytes) => textField(bytes, 1),
  [`${machinery}.util.intstr.IntOrString`]: (bytes) =>
    first(bytes, 1)?.value === 1n ? textField(bytes, 3) : Number(signed(first(bytes, 2)?.value ?? 0n)),
  [`${machinery}.apis.meta.v1.FieldsV1`]: (bytes) => rawJson(bytes),
  [`${machinery}.runtime.RawExtension`]: (bytes) => rawJson(bytes),
  [`${extensions}.JSON`]: (bytes) => rawJson(bytes),
  [`${extensions}.JSONSchemaPropsOrBool`]: (bytes, context) =>
    schemaOr(bytes, { context, value: (field) => field.value !== 0n }),
  [`${extensions}.JSONSchemaPropsOrArray`]: (bytes, context) =>
    schemaOr(bytes, { context, value: undefined }),
  [`${extensions}.JSONSchemaPropsOrStringArray`]: (bytes, context) =>
    schemaOr(bytes, { context, value: undefined }),
};

function first(bytes: Uint8Array, number: number): WireField | undefined {
  for (const field of wireFields(bytes)) if (field.number === number) return field;
  return undefined;
}

function textField(bytes: Uint8Array, number: number): string {
  const field = first(bytes, number);
  return field === undefined ? "" : text.decode(field.bytes);
}

function signed(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

function rawJson(bytes: Uint8Array): unknown {
  const raw = textField(bytes, 1);
  return raw === "" ? null : parseJson(raw);
}

function schemaOr(
  bytes: Uint8Array,
  {
    context,
    value,
  }: { readonly context: Context; readonly value: ((field: WireField) => unknown) | undefined },
): unknown {
  const schema = first(bytes, value === undefined ? 1 : 2);
  if (schema !== undefined) return readMessage(schema.bytes, `${extensions}.JSONSchemaProps`, context);
  if (value !== undefined) return value(first(bytes, 1) ?? { number: 1, wire: 0, bytes, value: 0n });
  return [...wireFields(bytes)]
    .filter((field) => field.number === 2)
    .map((field) => text.decode(field.bytes));
}

function readTime(bytes: Uint8Array, digits: number): string | null {
  const seconds = Number(signed(first(bytes, 1)?.value ?? 0n));
  const nanos = Number(first(bytes, 2)?.value ?? 0n);
  // Go's zero time is written as null in JSON.
  if (seconds === -62135596800 || bytes.byteLength === 0) return null;
  const whole = new Date(seconds * 1_000).toISOString().slice(0, 19);
  return digits === 0 ? `${whole}Z` : `${whole}.${String(Math.floor(nanos / 1_000)).padStart(6, "0")}Z`;
}

function durationText(nanos: bigint): string {
  const seconds = Number(nanos) / 1e9;
  const hours = Math.floor(seconds / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  const rest = `${seconds % 60}s`;
  return hours > 0 ? `${hours}h${minutes}m${rest}` : minutes > 0 ? `${minutes}m${rest}` : rest;
}

type Context = { readonly lookup: MessageLookup; readonly depth: number };

/** A message as the JSON that it stands for; numbers that nobody knows are skipped. @throws StatusError "BadRequest" */
export function decodeMessage(bytes: Uint8Array, name: string, lookup: MessageLookup): Tree {
  const value = readMessage(bytes, name, { lookup, depth: 0 });
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(`${name} is not an object`);
  return value as Tree;
}

function readMessage(bytes: Uint8Array, name: string, context: Context): unknown {
  const own = special[name];
  if (own !== undefined) return own(bytes, context);
  const fields = context.lookup(name);
  if (fields === undefined) throw malformed(`${name} is not known`);
  if (context.depth > JSON_DEPTH_MAX) throw malformed(`it is nested deeper than ${JSON_DEPTH_MAX} levels`);
  // Go writes a slice type of its own as a message with `items`, which is a plain list in JSON.
  const isList = fields.length === 1 && fields[0]?.[1] === "items" && /\.(ExtraValue|Verbs)$/.test(name);
  const result: Tree = {};
  const below = { lookup: context.lookup, depth: context.depth + 1 };
  for (const field of wireFields(bytes)) {
    const known = fields.find(([number]) => number === field.number);
    if (known !== undefined) addField(result, { field, known, context: below });
  }
  return isList ? (result["items"] ?? []) : result;
}

type Adding = { readonly field: WireField; readonly known: MessageField; readonly context: Context };

function addField(result: Tree, { field, known, context }: Adding): void {
  const [, name, type, message = ""] = known;
  const letter = type.replace(/^[*@~]/, "");
  if (type.startsWith("~")) Object.assign(result, readMessage(field.bytes, message, context));
  else if (type.startsWith("@")) addEntry(result, { field, known, context });
  else if (!type.startsWith("*")) set(result, name, scalar(field, letter, { message, context }));
  else {
    const list = (Object.hasOwn(result, name) ? result[name] : []) as unknown[];
    if (field.wire === 2 && "bild".includes(letter)) list.push(...packed(field.bytes, letter));
    else list.push(scalar(field, letter, { message, context }));
    set(result, name, list);
  }
}

function packed(bytes: Uint8Array, letter: string): unknown[] {
  const reader = { bytes, at: 0 };
  const values: unknown[] = [];
  while (reader.at < bytes.byteLength) values.push(numberOf(readVarint(reader), letter));
  return values;
}

function addEntry(result: Tree, { field, known, context }: Adding): void {
  const [, name, type, message = ""] = known;
  let key = "";
  let value: unknown;
  const letter = type.slice(1);
  for (const part of wireFields(field.bytes)) {
    if (part.number === 1) key = text.decode(part.bytes);
    if (part.number === 2) value = scalar(part, letter, { message, context });
  }
  const map = (Object.hasOwn(result, name) ? result[name] : {}) as Tree;
  set(
    map,
    key,
    value ??
      (letter === "m"
        ? readMessage(new Uint8Array(), message, context)
        : letter === "b"
          ? false
          : "ild".includes(letter)
            ? 0
            : ""),
  );
  set(result, name, map);
}

function set(tree: Tree, key: string, value: unknown): void {
  Object.defineProperty(tree, key, { value, writable: true, enumerable: true, configurable: true });
}

type Scalar = { readonly message: string; readonly context: Context };

function scalar(field: WireField, letter: string, { message, context }: Scalar): unknown {
  switch (letter) {
    case "s":
      return text.decode(field.bytes);
    case "y":
      return base64(field.bytes);
    case "m":
      return readMessage(field.bytes, message, context);
    case "d":
      return new DataView(field.bytes.buffer, field.bytes.byteOffset, field.bytes.byteLength).getFloat64(
        0,
        true,
      );
    default:
      return numberOf(field.value, letter);
  }
}

function numberOf(value: bigint, letter: string): unknown {
  if (letter === "b") return value !== 0n;
  const whole = signed(value);
  return whole <= BigInt(Number.MAX_SAFE_INTEGER) && whole >= BigInt(Number.MIN_SAFE_INTEGER)
    ? Number(whole)
    : whole;
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
