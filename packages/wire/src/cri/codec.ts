import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { assert } from "@cortado/std/assert";
import { schema, type Message, type MessageName } from "./schema.ts";

type Fields = Readonly<Record<string, readonly [number, string]>>;
type Field = {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly repeated: boolean;
};

const fieldsByNumber = new Map<string, ReadonlyMap<number, Field>>();

/** Writes a message as protobuf; absent, empty and zero fields are left out, as proto3 does. */
export function encode<Name extends MessageName>(name: Name, message: Message<Name>): Uint8Array {
  const writer = new BinaryWriter();
  writeMessage(writer, name, message);
  return writer.finish();
}

/** Reads a message; fields that the schema does not name are skipped. @throws Error when the bytes are not protobuf */
export function decode<Name extends MessageName>(name: Name, bytes: Uint8Array): Message<Name> {
  const reader = new BinaryReader(bytes);
  return readMessage(reader, name, reader.len) as Message<Name>;
}

function writeMessage(writer: BinaryWriter, name: string, message: Readonly<Record<string, unknown>>): void {
  for (const field of fieldsOf(name).values()) {
    const value = message[field.name];
    if (value === undefined || value === null) continue;
    if (field.type === "map") writeMap({ writer, field, entries: value as Readonly<Record<string, string>> });
    else if (!field.repeated) writeField({ writer, field, value, always: false });
    else
      for (const item of value as readonly unknown[])
        writeField({ writer, field, value: item, always: true });
  }
}

type WriteField = {
  readonly writer: BinaryWriter;
  readonly field: Field;
  readonly value: unknown;
  readonly always: boolean;
};

// Repeated numbers are written unpacked, which every proto3 reader takes.
function writeField({ writer, field, value, always }: WriteField): void {
  switch (field.type) {
    case "string":
      if (always || value !== "") writer.tag(field.number, WireType.LengthDelimited).string(value as string);
      return;
    case "bytes":
      writer.tag(field.number, WireType.LengthDelimited).bytes(value as Uint8Array);
      return;
    case "bool":
      if (always || value === true) writer.tag(field.number, WireType.Varint).bool(value as boolean);
      return;
    case "int32":
      if (always || value !== 0) writer.tag(field.number, WireType.Varint).int32(value as number);
      return;
    case "uint32":
      if (always || value !== 0) writer.tag(field.number, WireType.Varint).uint32(value as number);
      return;
    case "int64":
      if (always || value !== 0n) writer.tag(field.number, WireType.Varint).int64(value as bigint);
      return;
    case "uint64":
      if (always || value !== 0n) writer.tag(field.number, WireType.Varint).uint64(value as bigint);
      return;
    default:
      writer.tag(field.number, WireType.LengthDelimited).fork();
      writeMessage(writer, field.type, value as Readonly<Record<string, unknown>>);
      writer.join();
  }
}

type WriteMap = {
  readonly writer: BinaryWriter;
  readonly field: Field;
  readonly entries: Readonly<Record<string, string>>;
};

function writeMap({ writer, field, entries }: WriteMap): void {
  for (const [key, value] of Object.entries(entries)) {
    writer.tag(field.number, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
}

function readMessage(reader: BinaryReader, name: string, end: number): Record<string, unknown> {
  const fields = fieldsOf(name);
  const message: Record<string, unknown> = {};
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = fields.get(number);
    if (field === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    if (field.type === "map")
      readEntry(reader, (message[field.name] ??= Object.create(null)) as Record<string, string>);
    else if (!field.repeated) message[field.name] = readValue(reader, field.type);
    else readRepeated({ reader, field, wireType, into: (message[field.name] ??= []) as unknown[] });
  }
  return message;
}

type ReadRepeated = {
  readonly reader: BinaryReader;
  readonly field: Field;
  readonly wireType: WireType;
  readonly into: unknown[];
};

function readRepeated({ reader, field, wireType, into }: ReadRepeated): void {
  const packed = wireType === WireType.LengthDelimited && numericTypes.has(field.type);
  if (!packed) {
    into.push(readValue(reader, field.type));
    return;
  }
  const end = reader.uint32() + reader.pos;
  while (reader.pos < end) into.push(readValue(reader, field.type));
}

const numericTypes: ReadonlySet<string> = new Set(["bool", "int32", "uint32", "int64", "uint64"]);

function readValue(reader: BinaryReader, type: string): unknown {
  switch (type) {
    case "string":
      return reader.string();
    case "bytes":
      return reader.bytes();
    case "bool":
      return reader.bool();
    case "int32":
      return reader.int32();
    case "uint32":
      return reader.uint32();
    case "int64":
      return BigInt(reader.int64());
    case "uint64":
      return BigInt(reader.uint64());
    default: {
      const end = reader.uint32() + reader.pos;
      return readMessage(reader, type, end);
    }
  }
}

function readEntry(reader: BinaryReader, into: Record<string, string>): void {
  const end = reader.uint32() + reader.pos;
  let key = "";
  let value = "";
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    if (number === 1) key = reader.string();
    else if (number === 2) value = reader.string();
    else reader.skip(wireType, number);
  }
  into[key] = value;
}

function fieldsOf(name: string): ReadonlyMap<number, Field> {
  const known = fieldsByNumber.get(name);
  if (known !== undefined) return known;
  assert(Object.hasOwn(schema, name), `the schema has a message ${name}`);
  const fields = new Map<number, Field>();
  for (const [field, [number, type]] of Object.entries(schema[name as MessageName] as Fields)) {
    const repeated = type.endsWith("[]");
    fields.set(number, { name: field, number, type: repeated ? type.slice(0, -2) : type, repeated });
  }
  fieldsByNumber.set(name, fields);
  return fields;
}
