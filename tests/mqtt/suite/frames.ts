import { ids, types, type Level, type TypeName } from "./bytes.ts";

/** What came, as it came. */
export type Frame = { readonly type: TypeName; readonly flags: number; readonly body: Buffer };
/** Values of a property by its number, in their order; user properties as `name=value`. */
export type PropertyValues = ReadonlyMap<number, readonly (number | string | Buffer)[]>;

const names: readonly (TypeName | undefined)[] = [undefined, ...(Object.keys(types) as TypeName[])];

/** Cuts a stream of bytes into frames. */
export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): readonly Frame[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (let frame = this.#cut(); frame !== undefined; frame = this.#cut()) frames.push(frame);
    return frames;
  }

  #cut(): Frame | undefined {
    const header = readVarint(this.#rest, 1);
    if (header === undefined || this.#rest.length < header.end + header.value) return undefined;
    const first = this.#rest[0] ?? 0;
    const type = names[first >> 4];
    if (type === undefined) throw new Error(`a packet of type ${first >> 4} came`);
    const body = this.#rest.subarray(header.end, header.end + header.value);
    this.#rest = this.#rest.subarray(header.end + header.value);
    return { type, flags: first & 15, body };
  }
}

type At<Value> = { readonly value: Value; readonly end: number };

function readVarint(from: Buffer, start: number): At<number> | undefined {
  let value = 0;
  for (let at = start; at < start + 4; at += 1) {
    const byte = from[at];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 128 ** (at - start);
    if (byte < 0x80) return { value, end: at + 1 };
  }
  throw new Error("a length of more than four bytes came");
}

const readField = (from: Buffer, at: number): At<Buffer> => {
  const end = at + 2 + from.readUInt16BE(at);
  return { value: from.subarray(at + 2, end), end };
};

const bytesOf = new Set<number>([1, 23, 25, 36, 37, 40, 41, 42]);
const wordsOf = new Set<number>([19, 33, 34, 35]);
const longsOf = new Set<number>([2, 17, 24, 39]);

function readProperties(from: Buffer, start: number): At<PropertyValues> {
  const length = readVarint(from, start);
  if (length === undefined) return { value: new Map(), end: from.length };
  const end = length.end + length.value;
  const values = new Map<number, (number | string | Buffer)[]>();
  let at = length.end;
  while (at < end) {
    const id = from.readUInt8(at);
    const { value, end: next } = readProperty(from, at + 1, id);
    values.set(id, [...(values.get(id) ?? []), value]);
    at = next;
  }
  if (at !== end) throw new Error("properties came that are longer than they say");
  return { value: values, end };
}

function readProperty(from: Buffer, at: number, id: number): At<number | string | Buffer> {
  if (bytesOf.has(id)) return { value: from.readUInt8(at), end: at + 1 };
  if (wordsOf.has(id)) return { value: from.readUInt16BE(at), end: at + 2 };
  if (longsOf.has(id)) return { value: from.readUInt32BE(at), end: at + 4 };
  if (id === ids.subscriptionId) return readVarint(from, at) ?? { value: 0, end: from.length };
  const { value, end } = readField(from, at);
  if (id === ids.user) {
    const second = readField(from, end);
    return { value: `${value.toString()}=${second.value.toString()}`, end: second.end };
  }
  const isBinary = id === ids.correlationData || id === ids.authData;
  return { value: isBinary ? value : value.toString(), end };
}

const none: PropertyValues = new Map();

export type Connack = {
  readonly flags: number;
  readonly code: number;
  readonly properties: PropertyValues;
};
export function readConnack({ body }: Frame, level: Level): Connack {
  const read = level === 5 ? readProperties(body, 2).value : none;
  return { flags: body.readUInt8(0), code: body.readUInt8(1), properties: read };
}

export type Publish = {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly id: number;
  readonly properties: PropertyValues;
};
export function readPublish({ flags, body }: Frame, level: Level): Publish {
  const topic = readField(body, 0);
  const qos = (flags >> 1) & 3;
  const id = qos > 0 ? body.readUInt16BE(topic.end) : 0;
  const at = topic.end + (qos > 0 ? 2 : 0);
  const { value, end } = level === 5 ? readProperties(body, at) : { value: none, end: at };
  const payload = body.subarray(end).toString();
  const [retain, dup] = [(flags & 1) === 1, (flags & 8) === 8];
  return { topic: topic.value.toString(), payload, qos, retain, dup, id, properties: value };
}

export type Ack = { readonly id: number; readonly code: number; readonly properties: PropertyValues };
/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
export function readAck({ body }: Frame): Ack {
  const read = body.length > 3 ? readProperties(body, 3).value : none;
  return { id: body.readUInt16BE(0), code: body.length > 2 ? body.readUInt8(2) : 0, properties: read };
}

export type Codes = {
  readonly id: number;
  readonly codes: readonly number[];
  readonly properties: PropertyValues;
};
/** SUBACK and UNSUBACK. */
export function readCodes({ body }: Frame, level: Level): Codes {
  const { value, end } = level === 5 ? readProperties(body, 2) : { value: none, end: 2 };
  return { id: body.readUInt16BE(0), codes: [...body.subarray(end)], properties: value };
}

export type Farewell = { readonly code: number; readonly properties: PropertyValues };
/** DISCONNECT and AUTH. */
export function readFarewell({ body }: Frame): Farewell {
  const read = body.length > 1 ? readProperties(body, 1).value : none;
  return { code: body.length > 0 ? body.readUInt8(0) : 0, properties: read };
}
