/** A field of a message: number, name, type; `*` before the type repeats it, `@` makes it a map from strings. */
export type ProtoField = {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly message: string;
};
export type ProtoMessages = Map<string, ProtoField[]>;

type Raw = { readonly number: number; readonly bytes: Buffer; readonly value: number };

function* rawFields(bytes: Buffer): Generator<Raw> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const wire = tag & 7;
    if (wire === 0) yield { number: tag >>> 3, bytes: Buffer.alloc(0), value: varint() };
    else if (wire === 2) {
      const length = varint();
      yield { number: tag >>> 3, bytes: bytes.subarray(at, at + length), value: 0 };
      at += length;
    } else throw new Error(`a descriptor has no wire type ${wire}`);
  }
}

const letters: Readonly<Record<number, string>> = {
  1: "d",
  3: "l",
  4: "l",
  5: "i",
  8: "b",
  9: "s",
  11: "m",
  12: "y",
  13: "i",
};

/** Reads a FileDescriptorProto into messages by their full names in OpenAPI's spelling. */
export function readFile(file: Buffer, into: ProtoMessages): void {
  let packageName = "";
  const messages: Buffer[] = [];
  for (const field of rawFields(file)) {
    if (field.number === 2) packageName = field.bytes.toString();
    if (field.number === 4) messages.push(field.bytes);
  }
  for (const message of messages) readMessage(message, packageName, into);
}

function readMessage(bytes: Buffer, scope: string, into: ProtoMessages): void {
  let name = "";
  const fields: Buffer[] = [];
  const maps = new Map<string, ProtoField>();
  for (const field of rawFields(bytes)) {
    if (field.number === 1) name = field.bytes.toString();
    if (field.number === 2) fields.push(field.bytes);
    if (field.number === 3) {
      const entry = readEntry(field.bytes);
      maps.set(entry.name, entry.value);
    }
  }
  into.set(
    openApiName(`${scope}.${name}`),
    fields.map((field) => readField(field, maps)),
  );
}

function readEntry(bytes: Buffer): { readonly name: string; readonly value: ProtoField } {
  let name = "";
  let value: ProtoField | undefined;
  for (const field of rawFields(bytes)) {
    if (field.number === 1) name = field.bytes.toString();
    if (field.number !== 2) continue;
    const read = readField(field.bytes, new Map());
    if (read.number === 2) value = read;
  }
  if (value === undefined) throw new Error(`the map ${name} has no value`);
  return { name, value };
}

function readField(bytes: Buffer, maps: ReadonlyMap<string, ProtoField>): ProtoField {
  let [name, number, label, type, typeName, jsonName] = ["", 0, 1, 0, "", ""];
  for (const field of rawFields(bytes)) {
    if (field.number === 1) name = field.bytes.toString();
    else if (field.number === 3) number = field.value;
    else if (field.number === 4) label = field.value;
    else if (field.number === 5) type = field.value;
    else if (field.number === 6) typeName = field.bytes.toString();
    else if (field.number === 10) jsonName = field.bytes.toString();
  }
  const entry = maps.get(typeName.slice(typeName.lastIndexOf(".") + 1));
  const own = jsonName === "" ? name : jsonName;
  if (entry !== undefined && label === 3)
    return { number, name: own, type: `@${entry.type}`, message: entry.message };
  return {
    number,
    name: own,
    type: `${label === 3 ? "*" : ""}${letters[type] ?? "s"}`,
    message: type === 11 ? openApiName(typeName.slice(1)) : "",
  };
}

/** `k8s.io.api.core.v1.Pod` is `io.k8s.api.core.v1.Pod` in OpenAPI. */
export function openApiName(name: string): string {
  return name
    .replace(/^k8s\.io\./, "io.k8s.")
    .replace("apiextensions_apiserver", "apiextensions-apiserver")
    .replace("kube_aggregator", "kube-aggregator");
}

const words: Readonly<Record<string, string>> = {
  string: "s",
  bool: "b",
  int32: "i",
  int64: "l",
  double: "d",
  bytes: "y",
};

/** Adds one line of new-fields.ts. */
export function addField(line: string, into: ProtoMessages): void {
  const [message = "", name = "", number = "0", label = "", text = ""] = line.split(" ");
  const owner = openApiName(message);
  const inner = /^map<(?:string,)?(.*)>$/.exec(text)?.[1] ?? text;
  const scope = owner.slice(0, owner.lastIndexOf("."));
  const letter = words[inner];
  const type = `${text.startsWith("map<") ? "@" : label === "repeated" ? "*" : ""}${letter ?? "m"}`;
  const target =
    letter !== undefined ? "" : inner.startsWith(".") ? openApiName(inner.slice(1)) : `${scope}.${inner}`;
  const fields = into.get(owner) ?? [];
  into.set(owner, [...fields, { number: Number(number), name, type, message: target }]);
}
