import type { MqttBridgeSpec } from "@cortado/kinds/mqtt";
import type { FileBridge } from "../standalone/file-bridge.ts";
import type { ConfLine } from "./lines.ts";

type Says = {
  readonly fault: (line: ConfLine, message: string) => void;
  readonly note: (line: ConfLine, message: string) => void;
};

type Topic = MqttBridgeSpec["topics"][number];

/** Reads the lines behind one `connection`. */
export class BridgeReader {
  readonly #first: ConfLine;
  readonly #says: Says;
  readonly #fields: Record<string, unknown> = {};
  readonly #addresses: string[] = [];
  readonly #topics: Topic[] = [];
  readonly #tls: Record<string, unknown> = {};

  constructor(first: ConfLine, says: Says) {
    this.#first = first;
    this.#says = says;
    if (first.value === "") says.fault(first, "connection: a bridge has a name");
  }

  take(line: ConfLine): void {
    const reader = readers[line.key];
    if (typeof reader === "string") this.#says.note(line, `${line.key}: ${reader}`);
    else reader?.call(this, line);
  }

  end(): FileBridge {
    const { value: name } = this.#first;
    if (this.#addresses.length === 0) this.#says.fault(this.#first, `connection ${name} has no address`);
    if (this.#topics.length === 0) this.#says.fault(this.#first, `connection ${name} has no topic`);
    return {
      name,
      addresses: this.#addresses,
      // 3.1.1 is what mosquitto speaks to the other side unless it is told otherwise.
      protocol: "mqttv311",
      topics: this.#topics,
      ...this.#fields,
      ...(Object.keys(this.#tls).length === 0 ? {} : { tls: this.#tls }),
    };
  }

  addresses(line: ConfLine): void {
    for (const address of line.value.split(/\s+/)) {
      const [, host, port = "1883"] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(address) ?? [];
      if (host === undefined || Number(port) > 65_535)
        this.#says.fault(line, `${line.key} ${address}: write HOST or HOST:PORT`);
      else this.#addresses.push(`${host}:${port}`);
    }
  }

  topic(line: ConfLine): void {
    const words = line.value.split(/\s+/);
    const [pattern = "", direction = "out", qos = "0", localPrefix = "", remotePrefix = ""] = words;
    const bare = (word: string): string => (word === '""' ? "" : word);
    if (direction !== "in" && direction !== "out" && direction !== "both")
      this.#says.fault(line, `topic ${pattern}: the direction ${direction} is none of in, out and both`);
    else if (!["0", "1", "2"].includes(qos))
      this.#says.fault(line, `topic ${pattern}: the QoS ${qos} is not 0, 1 or 2`);
    else if (words.length > 5)
      this.#says.fault(line, `topic ${pattern}: there are words behind the two prefixes`);
    else
      this.#topics.push({
        pattern: bare(pattern),
        direction,
        qos: Number(qos) as 0 | 1 | 2,
        ...(bare(localPrefix) === "" ? {} : { localPrefix: bare(localPrefix) }),
        ...(bare(remotePrefix) === "" ? {} : { remotePrefix: bare(remotePrefix) }),
      });
  }

  set(name: string, value: unknown): void {
    this.#fields[name] = value;
  }

  /** One field of an object beside those that are set already. */
  setIn(name: string, more: Readonly<Record<string, unknown>>): void {
    this.#fields[name] = { ...(this.#fields[name] as Record<string, unknown> | undefined), ...more };
  }

  setTls(name: string, value: unknown): void {
    this.#tls[name] = value;
  }

  version(line: ConfLine): void {
    const versions: Readonly<Record<string, string>> = { mqttv311: "mqttv311", mqttv50: "mqttv5" };
    const version = versions[line.value];
    if (version === undefined)
      this.#says.fault(line, `bridge_protocol_version ${line.value}: mqttv311 and mqttv50 are spoken`);
    else this.set("protocol", version);
  }

  restart(line: ConfLine): void {
    const [base, cap] = line.value.split(/\s+/).map(Number);
    if (base === undefined || !(base > 0) || (cap !== undefined && !(cap >= base)))
      this.#says.fault(
        line,
        `restart_timeout ${line.value}: write the first wait, and the longest, in seconds`,
      );
    else this.set("reconnect", { firstSeconds: base, maxSeconds: cap ?? base });
  }

  flag(line: ConfLine, then: (value: boolean) => void): void {
    if (line.value === "true" || line.value === "false") then(line.value === "true");
    else this.#says.fault(line, `${line.key} ${line.value}: write true or false`);
  }

  number(line: ConfLine, then: (value: number) => void): void {
    const value = Number(line.value);
    if (line.value !== "" && Number.isInteger(value) && value >= 0) then(value);
    else this.#says.fault(line, `${line.key} ${line.value}: write a whole number`);
  }

  only(line: ConfLine, served: string, why: string): void {
    if (line.value !== served) this.#says.fault(line, `${line.key} ${line.value}: ${why}`);
  }

  refuse(line: ConfLine, why: string): void {
    this.#says.fault(line, `${line.key}: ${why}`);
  }
}

type Reader = (this: BridgeReader, line: ConfLine) => void;

const text = (name: string): Reader =>
  function (line) {
    this.set(name, line.value);
  };
const tls = (name: string): Reader =>
  function (line) {
    this.setTls(name, line.value);
  };
const flag = (name: string): Reader =>
  function (line) {
    this.flag(line, (value) => this.set(name, value));
  };
const only = (served: string, why: string): Reader =>
  function (line) {
    this.only(line, served, why);
  };
const refuse = (why: string): Reader =>
  function (line) {
    this.refuse(line, why);
  };

const kept = "a bridge's own session is always durable here";
const tcp = "the keep-alive of MQTT finds a dead line";

const readers: Readonly<Record<string, Reader | string>> = {
  address: BridgeReader.prototype.addresses,
  addresses: BridgeReader.prototype.addresses,
  topic: BridgeReader.prototype.topic,
  remote_clientid: text("clientId"),
  clientid: text("clientId"),
  remote_username: text("username"),
  username: text("username"),
  remote_password: text("password"),
  password: text("password"),
  cleansession: flag("cleanSession"),
  notifications(line) {
    this.flag(line, (enabled) => this.setIn("notifications", { enabled }));
  },
  notification_topic(line) {
    this.setIn("notifications", { topic: line.value });
  },
  try_private: flag("bridgeBit"),
  keepalive_interval(line) {
    this.number(line, (value) => this.set("keepAliveSeconds", value));
  },
  bridge_protocol_version: BridgeReader.prototype.version,
  restart_timeout: BridgeReader.prototype.restart,
  bridge_max_packet_size(line) {
    this.number(line, (value) => this.set("remote", { maxPacketBytes: value }));
  },
  bridge_session_expiry_interval(line) {
    this.number(line, (value) => this.set("sessionExpirySeconds", value));
  },
  bridge_cafile: tls("caFile"),
  bridge_certfile: tls("certFile"),
  bridge_keyfile: tls("keyFile"),
  bridge_alpn(line) {
    this.setTls("alpn", [line.value]);
  },
  bridge_insecure(line) {
    this.flag(line, (value) => this.setTls("insecureSkipVerify", value));
  },

  local_cleansession: kept,
  local_clientid: kept,
  local_username: kept,
  local_password: kept,
  bridge_attempt_unsubscribe: "topics that only go out are not subscribed to at all",
  bridge_reload_type: "a bridge that has changed is connected anew",
  bridge_tcp_keepalive: tcp,
  bridge_tcp_user_timeout: tcp,
  idle_timeout: "it is for start_type lazy",
  threshold: "it is for start_type lazy",
  round_robin: "addresses are tried in turn, and one that answers is kept",
  bridge_tls_version: "TLS 1.2 and 1.3 are spoken",
  bridge_max_topic_alias: "the remote says how many it takes",
  bridge_receive_maximum: "ours is told when it connects",
  bridge_tls_use_os_certs: "Node's own authorities are used when no cafile is given",

  start_type: only("automatic", "a bridge connects by itself and stays"),
  bridge_outgoing_retain: only(
    "true",
    "messages go as they are retained; set remote.retainAvailable to false",
  ),
  notifications_local_only: only("false", "notifications go to the remote, or are off"),
  bridge_capath: refuse("give the authorities in one file by bridge_cafile"),
  bridge_identity: refuse("TLS with pre-shared keys is not spoken; use certificates"),
  bridge_psk: refuse("TLS with pre-shared keys is not spoken; use certificates"),
  bridge_bind_address: refuse("the machine's routes choose the address"),
  bridge_require_ocsp: refuse("OCSP is not asked for"),
};

/** Options that belong to a bridge once one has begun. */
export const bridgeKeys: ReadonlySet<string> = new Set(Object.keys(readers));
