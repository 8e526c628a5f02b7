import { addressText } from "@cortado/std/net";
import { StatusError, type StatusCause } from "@cortado/std/status";
import type { FileBridge } from "./file-bridge.ts";
import { brokerLimits, type BrokerLimits } from "../limits.ts";

export type ListenerTls = {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities of client certificates; absent: none is asked for. */
  readonly caFile?: string;
  readonly crlFile?: string;
  readonly requireCertificate?: boolean;
  /** The client's user name is what its certificate says: its common name, or its whole subject. */
  readonly identity?: "commonName" | "subject";
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
};

export type ListenerSettings = {
  readonly port?: number;
  /** Absent: all addresses of the machine. */
  readonly address?: string;
  /** Path of a Unix socket, instead of a port. */
  readonly unix?: string;
  readonly protocol?: "mqtt" | "websockets";
  readonly tls?: ListenerTls;
} & Partial<AccessSettings>;

/** Who may come in, and what they may do. */
export type AccessSettings = {
  /** Whether clients may come without a user name. */
  readonly allowAnonymous: boolean;
  /** As mosquitto_passwd writes it. */
  readonly passwordFile?: string;
  /** As mosquitto's acl_file. Absent: everybody may all but publish to $SYS. */
  readonly aclFile?: string;
};

/** What a broker by itself is told by its file. */
export type MqttSettings = AccessSettings & {
  readonly folder: string;
  readonly listeners: readonly ListenerSettings[];
  /** Only clients whose id begins with it. */
  readonly clientIdPrefix?: string;
  readonly limits?: Partial<BrokerLimits>;
  readonly bridges?: readonly FileBridge[];
  /** Prometheus metrics and health, at /metrics and /healthz. */
  readonly metrics?: { readonly port: number; readonly address?: string };
  readonly logLevel?: "debug" | "info" | "warn" | "error";
};

export const mqttDefaults = { folder: "/var/lib/cortado-mqtt", allowAnonymous: false } as const;

type Kind =
  | "text"
  | "number"
  | "flag"
  | "list"
  | "any"
  | readonly string[]
  | { readonly [name: string]: Kind };

const tls: Kind = {
  certFile: "text",
  keyFile: "text",
  caFile: "text",
  crlFile: "text",
  requireCertificate: "flag",
  identity: ["commonName", "subject"],
  minVersion: ["TLSv1.2", "TLSv1.3"],
};
const access = { allowAnonymous: "flag", passwordFile: "text", aclFile: "text" } as const;
const listener: Kind = {
  ...access,
  port: "number",
  address: "text",
  unix: "text",
  protocol: ["mqtt", "websockets"],
  tls,
};
/** What is in them is checked where a MqttBridge is. */
const bridge: Kind = {
  ...{
    name: "text",
    addresses: "list",
    protocol: ["mqttv5", "mqttv311"],
    clientId: "text",
    username: "text",
  },
  ...{
    password: "text",
    topics: "list",
    order: ["oldest-first", "newest-first", "live-first"],
    budget: "any",
  },
  ...{ keepAliveSeconds: "number", cleanSession: "flag", sessionExpirySeconds: "number", reconnect: "any" },
  ...{ notifications: "any", ids: "flag", bridgeBit: "flag", remote: "any" },
  tls: {
    ...{ caFile: "text", certFile: "text", keyFile: "text", serverName: "text", alpn: "list" },
    insecureSkipVerify: "flag",
  },
};
const limits: Kind = Object.fromEntries(Object.keys(brokerLimits).map((name) => [name, "number"]));
const whole: Kind = {
  ...access,
  folder: "text",
  clientIdPrefix: "text",
  limits,
  metrics: { port: "number", address: "text" },
  logLevel: ["debug", "info", "warn", "error"],
  listeners: "list",
  bridges: "list",
};

/**
 * The name under which a listener has users of its own, which are not those of the file with the same names; undefined when they are
 * the same as everywhere. It has its own as soon as it says anything of them.
 */
export function realmOf(listener: ListenerSettings): string | undefined {
  const { unix, port = 0, address = "0.0.0.0" } = listener;
  if (Object.keys(access).every((name) => !Object.hasOwn(listener, name))) return undefined;
  return addressText(unix === undefined ? { host: address, port } : { path: unix });
}

/**
 * The tree of a settings file, checked: names, kinds, and what must go together. `file` is its name in messages.
 * @throws StatusError "Invalid" that names each place that cannot be
 */
export function toMqttSettings(tree: unknown, file: string): MqttSettings {
  const faults: StatusCause[] = [];
  const wrong = (field: string, message: string): void =>
    void faults.push({ reason: "FieldValueInvalid", field, message });
  check(tree ?? {}, whole, "", wrong);
  if (faults.length === 0) {
    const { listeners = [], bridges = [] } = (tree ?? {}) as Partial<MqttSettings>;
    for (const [at, one] of listeners.entries()) {
      check(one, listener, `listeners[${at}]`, wrong);
      checkListener(one, `listeners[${at}]`, wrong);
    }
    for (const [at, one] of bridges.entries()) {
      check(one, bridge, `bridges[${at}]`, wrong);
      if (typeof one?.name !== "string" || one.name === "")
        wrong(`bridges[${at}].name`, "a bridge has a name");
    }
    if (listeners.length === 0)
      wrong("listeners", "name at least one, for example: listeners: [{ port: 1883 }]");
  }
  const [first] = faults;
  if (first === undefined) return { ...mqttDefaults, ...(tree as Partial<MqttSettings>) } as MqttSettings;
  const lines = faults.map(({ field, message }) => `${file}: ${field}: ${message}`);
  throw new StatusError("Invalid", lines.join("\n"), { details: { causes: faults } });
}

type Wrong = (field: string, message: string) => void;

function check(value: unknown, kind: Kind, at: string, wrong: Wrong): void {
  if (kind === "any") return;
  if (typeof kind === "string") {
    const isIt = {
      text: typeof value === "string" && value !== "",
      number: Number.isSafeInteger(value) && Number(value) >= 0,
      flag: typeof value === "boolean",
      list: Array.isArray(value),
    }[kind];
    const wanted = { text: "a text", number: "a whole number", flag: "true or false", list: "a list" }[kind];
    if (!isIt) wrong(at, `${JSON.stringify(value)} is not ${wanted}`);
  } else if (Array.isArray(kind)) {
    if (!kind.includes(value)) wrong(at, `${JSON.stringify(value)} is none of ${kind.join(", ")}`);
  } else if (typeof value !== "object" || value === null || Array.isArray(value))
    wrong(at === "" ? "the file" : at, "it is no mapping of names to values");
  else
    for (const [name, inner] of Object.entries(value)) {
      const place = at === "" ? name : `${at}.${name}`;
      const known = Object.hasOwn(kind, name) ? (kind as { readonly [name: string]: Kind })[name] : undefined;
      if (known === undefined)
        wrong(place, `there is no such setting; there are ${Object.keys(kind).join(", ")}`);
      else check(inner, known, place, wrong);
    }
}

function checkListener(one: ListenerSettings, at: string, wrong: Wrong): void {
  const { port, unix, tls: secure } = one;
  // The name of a listener's users ends with its address.
  if (unix?.includes("@") === true && realmOf(one) !== undefined)
    wrong(`${at}.unix`, "a listener with users of its own has no @ in its path");
  if ((port === undefined) === (unix === undefined)) wrong(at, "give a port, or the path of a Unix socket");
  if (port !== undefined && (port < 1 || port > 65_535))
    wrong(`${at}.port`, `${port} is not from 1 to 65535`);
  if (secure === undefined) return;
  for (const name of ["certFile", "keyFile"] as const)
    if (secure[name] === undefined) wrong(`${at}.tls.${name}`, "TLS needs certFile and keyFile");
  if (secure.requireCertificate === true && secure.caFile === undefined)
    wrong(`${at}.tls.caFile`, "client certificates need the authorities that signed them");
  if (secure.identity !== undefined && secure.requireCertificate !== true)
    wrong(`${at}.tls.identity`, "a name from the certificate needs requireCertificate: true");
}
