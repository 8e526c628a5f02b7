/** Packets as bytes, made here and not by the broker's own codec: a fault there must not hide itself. */

export type Level = 3 | 4 | 5;
export type Part = number | string | Uint8Array;
/** One property of MQTT 5: its number and its bytes. */
export type Property = Uint8Array;

export const types = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;
export type TypeName = keyof typeof types;

/** Numbers are bytes, strings UTF-8 without a length. */
export function bytes(...parts: readonly Part[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => (typeof part === "number" ? Uint8Array.of(part) : Buffer.from(part))),
  );
}

export const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
export const u32 = (value: number): Uint8Array => bytes(u16(value >>> 16), u16(value & 0xffff));
/** Two bytes of length, and what follows. */
export const field = (value: string | Uint8Array): Uint8Array => {
  const data = Buffer.from(value as string);
  return bytes(u16(data.length), data);
};
export function varint(value: number): Uint8Array {
  const out: number[] = [];
  let left = value;
  do {
    out.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Uint8Array.from(out);
}

export function packet(type: TypeName, flags: number, ...body: readonly Part[]): Uint8Array {
  const data = bytes(...body);
  return bytes((types[type] << 4) | flags, varint(data.length), data);
}

export const prop = {
  byte: (id: number, value: number): Property => bytes(id, value),
  u16: (id: number, value: number): Property => bytes(id, u16(value)),
  u32: (id: number, value: number): Property => bytes(id, u32(value)),
  varint: (id: number, value: number): Property => bytes(id, varint(value)),
  text: (id: number, value: string | Uint8Array): Property => bytes(id, field(value)),
  pair: (name: string, value: string): Property => bytes(ids.user, field(name), field(value)),
} as const;

/** The numbers of properties (MQTT 5, table 2-4). */
export const ids = {
  payloadFormat: 1,
  messageExpiry: 2,
  contentType: 3,
  responseTopic: 8,
  correlationData: 9,
  subscriptionId: 11,
  sessionExpiry: 17,
  assignedClientId: 18,
  serverKeepAlive: 19,
  authMethod: 21,
  authData: 22,
  requestProblemInfo: 23,
  willDelay: 24,
  requestResponseInfo: 25,
  responseInfo: 26,
  serverReference: 28,
  reasonString: 31,
  receiveMaximum: 33,
  topicAliasMaximum: 34,
  topicAlias: 35,
  maximumQos: 36,
  retainAvailable: 37,
  user: 38,
  maximumPacketSize: 39,
  wildcardAvailable: 40,
  subscriptionIdAvailable: 41,
  sharedAvailable: 42,
} as const;

/** Properties with their length. */
export function properties(list: readonly Property[] = []): Uint8Array {
  const data = bytes(...list);
  return bytes(varint(data.length), data);
}

export type WillOptions = {
  readonly topic: string | Uint8Array;
  readonly payload?: string | Uint8Array;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly properties?: readonly Property[];
};

export type ConnectOptions = {
  readonly level?: Level;
  readonly clientId: string | Uint8Array;
  readonly clean?: boolean;
  readonly keepAlive?: number;
  readonly will?: WillOptions;
  readonly username?: string | Uint8Array;
  readonly password?: string | Uint8Array;
  readonly properties?: readonly Property[];
  /** Instead of the flags that follow from the rest. */
  readonly flags?: number;
  readonly protocolName?: string;
  readonly protocolLevel?: number;
};

export function connect(options: ConnectOptions): Uint8Array {
  const { level = 4, clientId, clean = true, keepAlive = 0, will, username, password } = options;
  const flags =
    options.flags ??
    (clean ? 2 : 0) |
      (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 32 : 0)) |
      (password === undefined ? 0 : 64) |
      (username === undefined ? 0 : 128);
  const name = options.protocolName ?? (level === 3 ? "MQIsdp" : "MQTT");
  return packet(
    "connect",
    0,
    ...[field(name), options.protocolLevel ?? level, flags, u16(keepAlive)],
    ...(level === 5 ? [properties(options.properties)] : []),
    field(clientId),
    ...(will === undefined
      ? []
      : [
          ...(level === 5 ? [properties(will.properties)] : []),
          field(will.topic),
          field(will.payload ?? "gone"),
        ]),
    ...(username === undefined ? [] : [field(username)]),
    ...(password === undefined ? [] : [field(password)]),
  );
}

export type PublishOptions = {
  readonly level?: Level;
  readonly topic: string | Uint8Array;
  readonly payload?: string | Uint8Array;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly id?: number;
  readonly properties?: readonly Property[];
};

export function publish(options: PublishOptions): Uint8Array {
  const { level = 4, topic, payload = "", qos = 0, retain = false, dup = false, id = 1 } = options;
  return packet(
    "publish",
    (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0),
    field(topic),
    ...(qos > 0 ? [u16(id)] : []),
    ...(level === 5 ? [properties(options.properties)] : []),
    payload,
  );
}

export type SubscribeOptions = {
  readonly level?: Level;
  readonly id?: number;
  /** Filter and its byte of options. */
  readonly filters: readonly (readonly [string | Uint8Array, number])[];
  readonly properties?: readonly Property[];
};

export function subscribe({ level = 4, id = 1, filters, ...more }: SubscribeOptions): Uint8Array {
  return packet(
    "subscribe",
    2,
    u16(id),
    ...(level === 5 ? [properties(more.properties)] : []),
    ...filters.flatMap(([filter, options]) => [field(filter), options]),
  );
}

export type UnsubscribeOptions = {
  readonly level?: Level;
  readonly id?: number;
  readonly filters: readonly (string | Uint8Array)[];
};

export function unsubscribe({ level = 4, id = 1, filters }: UnsubscribeOptions): Uint8Array {
  const list = filters.map((filter) => field(filter));
  return packet("unsubscribe", 2, u16(id), ...(level === 5 ? [properties()] : []), ...list);
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP; without a code it is the short form. */
export function ack(type: "puback" | "pubrec" | "pubrel" | "pubcomp", id: number, code?: number): Uint8Array {
  return packet(type, type === "pubrel" ? 2 : 0, u16(id), ...(code === undefined ? [] : [code]));
}

export const ping: Uint8Array = packet("pingreq", 0);
export const farewell: Uint8Array = packet("disconnect", 0);
