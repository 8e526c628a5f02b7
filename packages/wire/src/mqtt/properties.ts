import type { Cursor, Writer } from "./cursor.ts";
import { malformed, protocolError } from "./malformed.ts";

export type UserProperty = { readonly name: string; readonly value: string };

/** All properties of MQTT 5 (section 2.2.2.2), after validation. Absent is absent: no default is filled in. */
export type Properties = {
  readonly payloadFormatIndicator?: number;
  readonly messageExpiryIntervalS?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  readonly subscriptionIdentifiers?: readonly number[];
  /** 0xFFFFFFFF: never. */
  readonly sessionExpiryIntervalS?: number;
  readonly assignedClientIdentifier?: string;
  readonly serverKeepAliveS?: number;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Uint8Array;
  readonly requestProblemInformation?: number;
  readonly willDelayIntervalS?: number;
  readonly requestResponseInformation?: number;
  readonly responseInformation?: string;
  readonly serverReference?: string;
  readonly reasonString?: string;
  readonly receiveMaximum?: number;
  readonly topicAliasMaximum?: number;
  readonly topicAlias?: number;
  readonly maximumQos?: number;
  readonly retainAvailable?: number;
  readonly userProperties?: readonly UserProperty[];
  readonly maximumPacketSizeBytes?: number;
  readonly wildcardSubscriptionAvailable?: number;
  readonly subscriptionIdentifierAvailable?: number;
  readonly sharedSubscriptionAvailable?: number;
};
export type PropertyName = keyof Properties;

/** Where properties may stand. The will's are a set of their own within CONNECT. */
export const propertyPlaces = [
  "connect",
  "will",
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "suback",
  "unsubscribe",
  "unsuback",
  "disconnect",
  "auth",
] as const;
export type PropertyPlace = (typeof propertyPlaces)[number];

type Form =
  | "flag"
  | "u16"
  | "u16 from 1"
  | "u32"
  | "u32 from 1"
  | "length from 1"
  | "text"
  | "bytes"
  | "pair";
export type PropertyRow = {
  readonly id: number;
  readonly name: PropertyName;
  readonly form: Form;
  readonly places: readonly PropertyPlace[];
};

const message = ["publish", "will"] as const;
const answers = ["connack", "puback", "pubrec", "pubrel", "pubcomp", "suback", "unsuback"] as const;
const auths = ["connect", "connack", "auth"] as const;

/** MQTT 5, table 2-4: each once at most but the user property and, in PUBLISH, the subscription identifier. */
export const propertyRows: readonly PropertyRow[] = [
  { id: 0x01, name: "payloadFormatIndicator", form: "flag", places: message },
  { id: 0x02, name: "messageExpiryIntervalS", form: "u32", places: message },
  { id: 0x03, name: "contentType", form: "text", places: message },
  { id: 0x08, name: "responseTopic", form: "text", places: message },
  { id: 0x09, name: "correlationData", form: "bytes", places: message },
  { id: 0x0b, name: "subscriptionIdentifiers", form: "length from 1", places: ["publish", "subscribe"] },
  { id: 0x11, name: "sessionExpiryIntervalS", form: "u32", places: ["connect", "connack", "disconnect"] },
  { id: 0x12, name: "assignedClientIdentifier", form: "text", places: ["connack"] },
  { id: 0x13, name: "serverKeepAliveS", form: "u16", places: ["connack"] },
  { id: 0x15, name: "authenticationMethod", form: "text", places: auths },
  { id: 0x16, name: "authenticationData", form: "bytes", places: auths },
  { id: 0x17, name: "requestProblemInformation", form: "flag", places: ["connect"] },
  { id: 0x18, name: "willDelayIntervalS", form: "u32", places: ["will"] },
  { id: 0x19, name: "requestResponseInformation", form: "flag", places: ["connect"] },
  { id: 0x1a, name: "responseInformation", form: "text", places: ["connack"] },
  { id: 0x1c, name: "serverReference", form: "text", places: ["connack", "disconnect"] },
  { id: 0x1f, name: "reasonString", form: "text", places: [...answers, "disconnect", "auth"] },
  { id: 0x21, name: "receiveMaximum", form: "u16 from 1", places: ["connect", "connack"] },
  { id: 0x22, name: "topicAliasMaximum", form: "u16", places: ["connect", "connack"] },
  { id: 0x23, name: "topicAlias", form: "u16", places: ["publish"] },
  { id: 0x24, name: "maximumQos", form: "flag", places: ["connack"] },
  { id: 0x25, name: "retainAvailable", form: "flag", places: ["connack"] },
  { id: 0x26, name: "userProperties", form: "pair", places: propertyPlaces },
  { id: 0x27, name: "maximumPacketSizeBytes", form: "u32 from 1", places: ["connect", "connack"] },
  { id: 0x28, name: "wildcardSubscriptionAvailable", form: "flag", places: ["connack"] },
  { id: 0x29, name: "subscriptionIdentifierAvailable", form: "flag", places: ["connack"] },
  { id: 0x2a, name: "sharedSubscriptionAvailable", form: "flag", places: ["connack"] },
];

const byId: ReadonlyMap<number, PropertyRow> = new Map(propertyRows.map((row) => [row.id, row]));

export const noProperties: Properties = {};

type Readable = { -readonly [Name in PropertyName]?: unknown };

/** The properties at a cursor, which then stands behind them. @throws StatusError that names what is wrong */
export function readProperties(cursor: Cursor, place: PropertyPlace): Properties {
  const total = cursor.length();
  if (total === 0) return noProperties;
  const inner = cursor.part(total, "properties");
  const read: Readable = {};
  while (!inner.atEnd) {
    const id = inner.length();
    const row = byId.get(id);
    if (row === undefined) throw malformed(`property ${id} is not known`);
    if (!row.places.includes(place))
      throw protocolError(`${row.name} has no place in ${place.toUpperCase()} (MQTT 5, table 2-4)`);
    const value = readValue(inner, row);
    if (row.form === "pair" || (row.form === "length from 1" && place === "publish"))
      ((read[row.name] ??= []) as unknown[]).push(value);
    else if (row.name in read) throw protocolError(`${row.name} comes twice`);
    else read[row.name] = row.form === "length from 1" ? [value] : value;
  }
  return read as Properties;
}

function readValue(cursor: Cursor, { name, form }: PropertyRow): unknown {
  switch (form) {
    case "flag": {
      const value = cursor.byte();
      if (value > 1) throw protocolError(`${name} is ${value}; it may be 0 or 1`);
      return value;
    }
    case "u16":
      return cursor.u16();
    case "u16 from 1":
      return notZero(cursor.u16(), name);
    case "u32":
      return cursor.u32();
    case "u32 from 1":
      return notZero(cursor.u32(), name);
    case "length from 1":
      return notZero(cursor.length(), name);
    case "text":
      return cursor.text(name);
    case "bytes":
      return cursor.binary(name);
    default:
      return { name: cursor.text("user property's name"), value: cursor.text("user property's value") };
  }
}

function notZero(value: number, name: PropertyName): number {
  if (value === 0) throw protocolError(`${name} is 0`);
  return value;
}

/** Writes the properties with their length before them. */
export function writeProperties(writer: Writer, properties: Properties | undefined): void {
  if (properties === undefined || properties === noProperties) {
    writer.byte(0);
    return;
  }
  const inner = writer.inner();
  writeBareProperties(inner, properties);
  writer.length(inner.size);
  writer.raw(inner.taken());
}

/** The properties without the length before them: as a message carries them from its publisher to its readers. */
export function writeBareProperties(writer: Writer, properties: Properties): void {
  for (const row of propertyRows) {
    const value = properties[row.name];
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      writer.length(row.id);
      writeValue(writer, { form: row.form, value: one });
    }
  }
}

function writeValue(writer: Writer, { form, value }: { readonly form: Form; readonly value: unknown }): void {
  switch (form) {
    case "flag":
      writer.byte(value as number);
      return;
    case "u16":
    case "u16 from 1":
      writer.u16(value as number);
      return;
    case "u32":
    case "u32 from 1":
      writer.u32(value as number);
      return;
    case "length from 1":
      writer.length(value as number);
      return;
    case "text":
      writer.text(value as string);
      return;
    case "bytes":
      writer.binary(value as Uint8Array);
      return;
    default: {
      const pair = value as UserProperty;
      writer.text(pair.name);
      writer.text(pair.value);
    }
  }
}
