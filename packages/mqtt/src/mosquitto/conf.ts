import type { BrokerLimits } from "../limits.ts";
import type { AccessSettings, ListenerSettings, ListenerTls, MqttSettings } from "../standalone/settings.ts";
import { BridgeReader, bridgeKeys } from "./conf-bridge.ts";
import { confLines, type ConfLine, type LineNote } from "./lines.ts";

/** What became of a mosquitto.conf. */
export type Imported = {
  readonly settings: MqttSettings;
  /** What cannot be honoured: nothing should be started before these lines are changed. */
  readonly faults: readonly LineNote[];
  /** What means nothing here, and why; it may be left as it is. */
  readonly notes: readonly LineNote[];
};

/** Reads mosquitto.conf (mosquitto 2); `file` is its name in messages. */
export function importMosquittoConf(text: string, file: string): Imported {
  const reader = new ConfReader();
  for (const line of confLines(text, file)) reader.take(line);
  return reader.end(file);
}

type Draft<Value> = { -readonly [Key in keyof Value]?: Value[Key] };
type ListenerDraft = Draft<Omit<ListenerSettings, "tls">> & { tls?: Draft<ListenerTls>; at: ConfLine };

class ConfReader {
  readonly #faults: LineNote[] = [];
  readonly #notes: LineNote[] = [];
  readonly #listeners: ListenerDraft[] = [];
  readonly #limits: Draft<BrokerLimits> = {};
  readonly #bridges: BridgeReader[] = [];
  #folder = "/var/lib/cortado-mqtt";
  /** For all listeners. */
  readonly #access: Draft<AccessSettings> = {};
  /** Lines of it that stand where no listener is yet. */
  readonly #early: ConfLine[] = [];
  #clientIdPrefix: string | undefined;
  #isPerListener = false;
  #logLevel: MqttSettings["logLevel"];

  take(line: ConfLine): void {
    const bridge = this.#bridges.at(-1);
    if (line.key === "connection") {
      this.#bridges.push(new BridgeReader(line, this.#says));
      return;
    }
    if (bridge !== undefined && bridgeKeys.has(line.key)) {
      bridge.take(line);
      return;
    }
    const reader = keys[line.key];
    if (reader === undefined) {
      const why = bridgeKeys.has(line.key)
        ? "it belongs behind a connection"
        : "there is no such option in mosquitto 2";
      this.#fault(line, `${line.key}: ${why}`);
    } else if (typeof reader === "string") this.#note(line, `${line.key}: ${reader}`);
    else reader.call(this, line);
  }

  end(file: string): Imported {
    const listeners = this.#listeners.map((draft) => this.#listener(draft));
    const isPerListener = this.#isPerListener && listeners.length > 0;
    for (const line of isPerListener ? this.#early : [])
      this.#fault(
        line,
        `${line.key}: with per_listener_settings it is of no listener where it stands; put it behind per_listener_settings and its listener`,
      );
    const settings: MqttSettings = {
      folder: this.#folder,
      // As mosquitto 2 has it: without a listener it serves the machine itself, and anybody there.
      listeners: listeners.length > 0 ? listeners : [{ address: "127.0.0.1", port: 1883 }],
      allowAnonymous: listeners.length === 0,
      ...(isPerListener ? {} : this.#access),
      ...(this.#clientIdPrefix === undefined ? {} : { clientIdPrefix: this.#clientIdPrefix }),
      ...(Object.keys(this.#limits).length === 0 ? {} : { limits: this.#limits }),
      ...(this.#bridges.length === 0 ? {} : { bridges: this.#bridges.map((bridge) => bridge.end()) }),
      ...(this.#logLevel === undefined ? {} : { logLevel: this.#logLevel }),
    };
    if (!isPerListener && !isOpenTo(settings) && !listeners.some(isByCertificate))
      this.#faults.push({ file, line: 0, message: `nobody could connect: ${CLOSED}` });
    return { settings, faults: this.#faults, notes: this.#notes };
  }

  readonly #says = {
    fault: (line: ConfLine, message: string): void => this.#fault(line, message),
    note: (line: ConfLine, message: string): void => this.#note(line, message),
  };

  #fault({ file, line }: ConfLine, message: string): void {
    this.#faults.push({ file, line, message });
  }

  #note({ file, line }: ConfLine, message: string): void {
    this.#notes.push({ file, line, message });
  }

  #listener({ at, tls, ...draft }: ListenerDraft): ListenerSettings {
    // Said in any case: so it has users of its own.
    const own = this.#isPerListener ? { allowAnonymous: draft.allowAnonymous ?? false } : {};
    const listener = { ...draft, ...own };
    if (this.#isPerListener && !isOpenTo(listener) && tls?.identity === undefined)
      this.#fault(at, `nobody could connect to this listener: ${CLOSED}`);
    if (tls === undefined) return listener;
    const { certFile, keyFile } = tls;
    if (certFile === undefined || keyFile === undefined) {
      this.#fault(at, "the listener has a part of TLS only: certfile and keyfile go together");
      return listener;
    }
    if (tls.requireCertificate === true && tls.caFile === undefined)
      this.#fault(at, "require_certificate needs the cafile of those who signed the clients' certificates");
    if (tls.identity !== undefined && tls.requireCertificate !== true)
      this.#fault(at, "a user name from the certificate needs require_certificate true");
    return { ...listener, tls: { ...tls, certFile, keyFile } };
  }

  /** The listener whose options these are; before the first one they are of mosquitto's default listener. */
  #last(line: ConfLine): ListenerDraft {
    const last = this.#listeners.at(-1);
    if (last !== undefined) return last;
    const first: ListenerDraft = { port: 1883, at: line };
    this.#listeners.push(first);
    return first;
  }

  listener(line: ConfLine): void {
    const [first = "", second] = line.value.split(/\s+/);
    const port = Number(first);
    if (first === "0" && second !== undefined) this.#listeners.push({ unix: second, at: line });
    else if (Number.isInteger(port) && port > 0 && port < 65_536)
      this.#listeners.push({ port, ...(second === undefined ? {} : { address: second }), at: line });
    else
      this.#fault(
        line,
        `listener ${line.value}: give a port from 1 to 65535, or 0 and the path of a Unix socket`,
      );
  }

  port(line: ConfLine): void {
    const port = this.number(line, { max: 65_535 });
    if (port !== undefined) this.#last(line).port = port;
  }

  bindAddress(line: ConfLine): void {
    this.#last(line).address = line.value;
  }

  protocol(line: ConfLine): void {
    if (line.value === "mqtt" || line.value === "websockets") this.#last(line).protocol = line.value;
    else this.#fault(line, `protocol ${line.value}: mqtt and websockets are served`);
  }

  tls(line: ConfLine, change: Draft<ListenerTls>): void {
    const listener = this.#last(line);
    listener.tls = { ...listener.tls, ...change };
  }

  tlsVersion(line: ConfLine): void {
    if (line.value === "tlsv1.2" || line.value === "tlsv1.3")
      this.tls(line, { minVersion: line.value === "tlsv1.2" ? "TLSv1.2" : "TLSv1.3" });
    else this.#fault(line, `tls_version ${line.value}: tlsv1.2 and tlsv1.3 are spoken`);
  }

  folder(line: ConfLine): void {
    this.#folder = line.value;
    this.#note(
      line,
      "persistence_location: our journal goes there; what mosquitto kept in its own file is not read",
    );
  }

  /** Of the listener above it, or of all. */
  access(line: ConfLine, change: Draft<AccessSettings>): void {
    const last = this.#listeners.at(-1);
    if (this.#isPerListener && last !== undefined) Object.assign(last, change);
    else {
      Object.assign(this.#access, change);
      this.#early.push(line);
    }
  }

  clientIdPrefix(line: ConfLine): void {
    this.#clientIdPrefix = line.value;
  }

  perListener(line: ConfLine): void {
    this.#isPerListener = this.flag(line) ?? false;
  }

  logType(line: ConfLine): void {
    const levels: Readonly<Record<string, MqttSettings["logLevel"]>> = {
      debug: "debug",
      all: "debug",
      error: "error",
      warning: "warn",
    };
    this.#logLevel ??= levels[line.value];
  }

  /** 0 is without limit there; what is too much for the disk is held by ours. */
  limit(line: ConfLine, name: keyof BrokerLimits, scale = 1): void {
    const value = this.number(line, {});
    if (value === undefined) return;
    if (value > 0) this.#limits[name] = value * scale;
    else this.#note(line, `${line.key} 0: without limit there, ${name} by default here`);
  }

  connections(line: ConfLine): void {
    if (line.value === "-1") return;
    if (this.#listeners.length > 1)
      this.#fault(
        line,
        "max_connections of one listener: here the limit is for all of them; put it before the first",
      );
    else this.limit(line, "connectionsMax");
  }

  expiry(line: ConfLine): void {
    const [, amount, unit] = /^(\d+)([hdwmy])$/.exec(line.value) ?? [];
    const hours: Readonly<Record<string, number>> = { h: 1, d: 24, w: 168, m: 730, y: 8_760 };
    if (amount === undefined || unit === undefined)
      this.#fault(
        line,
        `persistent_client_expiration ${line.value}: write a number and one of h, d, w, m, y`,
      );
    else this.#limits.sessionExpiryMs = Number(amount) * (hours[unit] ?? 1) * 3_600_000;
  }

  /** What mosquitto may be told and we do only one way of. */
  only(line: ConfLine, served: string, why: string): void {
    if (line.value !== served) this.#fault(line, `${line.key} ${line.value}: ${why}`);
  }

  refuse(line: ConfLine, why: string): void {
    this.#fault(line, `${line.key}: ${why}`);
  }

  flag(line: ConfLine): boolean | undefined {
    if (line.value === "true" || line.value === "false") return line.value === "true";
    this.#fault(line, `${line.key} ${line.value}: write true or false`);
    return undefined;
  }

  number(line: ConfLine, { max = Number.MAX_SAFE_INTEGER }: { readonly max?: number }): number | undefined {
    const value = Number(line.value);
    if (line.value !== "" && Number.isInteger(value) && value >= 0 && value <= max) return value;
    this.#fault(line, `${line.key} ${line.value}: write a whole number${max < 1e9 ? ` up to ${max}` : ""}`);
    return undefined;
  }
}

const CLOSED =
  "allow_anonymous is false, as it is by default behind a listener, and there is no password_file";

/** Whether anybody can come in by what a CONNECT says. */
const isOpenTo = ({ allowAnonymous, passwordFile }: Draft<AccessSettings>): boolean =>
  allowAnonymous === true || passwordFile !== undefined;

const isByCertificate = ({ tls }: ListenerSettings): boolean => tls?.identity !== undefined;

type Reader = (this: ConfReader, line: ConfLine) => void;

const file = (name: "certFile" | "keyFile" | "caFile" | "crlFile"): Reader =>
  function (line) {
    this.tls(line, { [name]: line.value });
  };
const limit = (name: keyof BrokerLimits): Reader =>
  function (line) {
    this.limit(line, name);
  };
const only = (served: string, why: string): Reader =>
  function (line) {
    this.only(line, served, why);
  };
const refuse = (why: string): Reader =>
  function (line) {
    this.refuse(line, why);
  };
const identity = (from: "commonName" | "subject"): Reader =>
  function (line) {
    if (this.flag(line) === true) this.tls(line, { identity: from });
  };

const synced = "each acknowledgement means that it is on disk";
const started = "who starts the process decides";
const logged = "the log is lines of JSON on standard output";

/** Every option of mosquitto 2 outside of bridges: how it is read, or why it need not be. */
const keys: Readonly<Record<string, Reader | string>> = {
  listener: ConfReader.prototype.listener,
  port: ConfReader.prototype.port,
  bind_address: ConfReader.prototype.bindAddress,
  protocol: ConfReader.prototype.protocol,
  certfile: file("certFile"),
  keyfile: file("keyFile"),
  cafile: file("caFile"),
  crlfile: file("crlFile"),
  tls_version: ConfReader.prototype.tlsVersion,
  require_certificate(line) {
    if (this.flag(line) === true) this.tls(line, { requireCertificate: true });
  },
  use_identity_as_username: identity("commonName"),
  use_subject_as_username: identity("subject"),
  persistence_location: ConfReader.prototype.folder,
  allow_anonymous(line) {
    const allowAnonymous = this.flag(line);
    if (allowAnonymous !== undefined) this.access(line, { allowAnonymous });
  },
  password_file(line) {
    this.access(line, { passwordFile: line.value });
  },
  acl_file(line) {
    this.access(line, { aclFile: line.value });
  },
  clientid_prefixes: ConfReader.prototype.clientIdPrefix,
  per_listener_settings: ConfReader.prototype.perListener,
  max_connections: ConfReader.prototype.connections,
  max_queued_messages: limit("sessionItemsMax"),
  max_queued_bytes: limit("sessionBytesMax"),
  max_inflight_messages: limit("inflightMax"),
  max_packet_size: limit("packetBytesMax"),
  message_size_limit: limit("packetBytesMax"),
  max_keepalive: limit("keepAliveMaxS"),
  max_topic_alias: limit("topicAliasMax"),
  persistent_client_expiration: ConfReader.prototype.expiry,
  log_type: ConfReader.prototype.logType,

  persistence: synced,
  persistence_file: synced,
  autosave_interval: synced,
  autosave_on_changes: synced,
  user: started,
  pid_file: started,
  log_dest: logged,
  log_facility: logged,
  log_timestamp: logged,
  log_timestamp_format: logged,
  connection_messages: logged,
  websockets_log_level: logged,
  websockets_headers_size: "Node's limit of 16 KiB holds",
  set_tcp_nodelay: "it is always so",
  allow_duplicate_messages: "mosquitto 2 does not heed it either",
  retry_interval: "mosquitto 2 does not heed it either",
  max_inflight_bytes: "the number of messages and the size of a packet bound it",
  check_retain_source: "a retained message was allowed when it came",
  socket_domain: "IPv4 and IPv6 by the address that is listened on",
  ciphers: "Node's own list is used",
  "ciphers_tls1.3": "Node's own list is used",
  dhparamfile: "only ECDHE is used",

  allow_zero_length_clientid: only("true", "clients without an id are always taken"),
  queue_qos0_messages: only("false", "QoS 0 is not queued"),
  upgrade_outgoing_qos: only("false", "a message is delivered at the lower QoS of the two"),
  retain_available: only("true", "retained messages are always kept"),
  sys_interval: only("10", "the $SYS topics are published every 10 s"),
  auto_id_prefix: refuse("the ids of clients without one cannot be given a prefix"),
  memory_limit: refuse("what waits is on disk; bound it by limits.diskBytesMax"),
  mount_point: refuse("topics cannot be put below another for one listener"),
  use_username_as_clientid: refuse("client ids are as clients give them"),
  http_dir: refuse("no files are served over HTTP"),
  capath: refuse("give the authorities in one file by cafile"),
  include_dir: refuse("put the files into one"),
  plugin: refuse("plugins are not loaded"),
  auth_plugin: refuse("plugins are not loaded"),
  psk_file: refuse("TLS with pre-shared keys is not served; use certificates"),
  psk_hint: refuse("TLS with pre-shared keys is not served; use certificates"),
  tls_engine: refuse("OpenSSL engines are not loaded"),
  tls_engine_kpass_sha1: refuse("OpenSSL engines are not loaded"),
  tls_keyform: refuse("OpenSSL engines are not loaded"),
  bind_interface: refuse("give the interface's address behind the listener's port"),
};
