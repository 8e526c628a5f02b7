import { readFileSync } from "node:fs";
import { load } from "js-yaml";
import { StatusError } from "@cortado/std/status";
import { toMqttTls, type MqttTlsConfig } from "./mqtt-tls.ts";

/** What a store is told; names are K3s's where K3s has them, ours where it does not. */
export type ServerConfig = {
  readonly dataDir: string;
  readonly nodeName: string;
  readonly nodeIp: string | undefined;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly bindAddress: string;
  readonly httpsListenPort: number;
  readonly tlsSan: readonly string[];
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly clusterDns: string;
  readonly clusterDomain: string;
  readonly resolvConf: string;
  readonly writeKubeconfig: string;
  readonly writeKubeconfigMode: number;
  /** What the written kubeconfig says the server is; absent: https://127.0.0.1:PORT. */
  readonly kubeconfigServer: string | undefined;
  readonly pauseImage: string;
  readonly disable: readonly string[];
  readonly runtime: "containerd" | "simulated";
  readonly cgroupRoot: string;
  readonly memoryLimitBytes: number | undefined;
  /** Who steers this store; undefined: nobody. */
  readonly hub: string | undefined;
  readonly hubToken: string | undefined;
  /** Bytes a second that may go to the hub, by class of event; what is not named keeps its default. */
  readonly telemetryBudget: Readonly<Record<string, number>>;
  /** Folder for Unix sockets that the machine itself reaches the store by. */
  readonly localSocketDir: string | undefined;
  /** Ports on the node's addresses; 0 turns one off. */
  readonly mqttPort: number;
  readonly mqttWebSocketPort: number;
  /** Undefined: not asked for. */
  readonly mqttTls: MqttTlsConfig | undefined;
  readonly gatewayPort: number;
  readonly telemetryPort: number;
  readonly ingressPort: number;
  readonly ingressTlsPort: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
};

type Kind = "text" | "number" | "list" | "pairs" | "flag";
export type Setting = { readonly kind: Kind; readonly help: string; readonly fallback?: string };

export const settingNames = [
  "data-dir",
  "node-name",
  "node-ip",
  "node-label",
  "bind-address",
  "https-listen-port",
  "tls-san",
  "cluster-cidr",
  "service-cidr",
  "cluster-dns",
  "cluster-domain",
  "resolv-conf",
  "write-kubeconfig",
  "write-kubeconfig-mode",
  "kubeconfig-server",
  "pause-image",
  "disable",
  "runtime",
  "cgroup-root",
  "memory-limit",
  "local-socket-dir",
  "mqtt-port",
  "mqtt-websocket-port",
  "mqtt-tls",
  "mqtt-tls-port",
  "mqtt-websocket-tls-port",
  "mqtt-tls-cert-file",
  "mqtt-tls-key-file",
  "mqtt-tls-ca-file",
  "mqtt-tls-crl-file",
  "mqtt-tls-require-certificate",
  "gateway-port",
  "telemetry-port",
  "ingress-port",
  "ingress-tls-port",
  "log-level",
  "hub",
  "hub-token",
  "telemetry-budget",
] as const;
export type SettingName = (typeof settingNames)[number];

/** Every setting of `cortado server`, by its name in the file and, with two dashes, on the command line. */
export const serverSettings: Readonly<Record<SettingName, Setting>> = {
  "data-dir": { kind: "text", help: "Folder for all state", fallback: "/var/lib/cortado" },
  "node-name": { kind: "text", help: "Name of this store's node; the host name if absent" },
  "node-ip": { kind: "text", help: "Address of this node; found if absent" },
  "node-label": { kind: "pairs", help: "KEY=VALUE labels of the node" },
  "bind-address": { kind: "text", help: "Address that the API server listens on", fallback: "0.0.0.0" },
  "https-listen-port": { kind: "number", help: "Port that the API server listens on", fallback: "6443" },
  "tls-san": { kind: "list", help: "Further names or addresses in the API server's certificate" },
  "cluster-cidr": { kind: "text", help: "Addresses of pods", fallback: "10.42.0.0/16" },
  "service-cidr": { kind: "text", help: "Addresses of services", fallback: "10.43.0.0/16" },
  "cluster-dns": { kind: "text", help: "Address of the cluster's DNS", fallback: "10.43.0.10" },
  "cluster-domain": { kind: "text", help: "Domain of the cluster's DNS", fallback: "cluster.local" },
  "resolv-conf": {
    kind: "text",
    help: "File that names the DNS servers outside",
    fallback: "/etc/resolv.conf",
  },
  "write-kubeconfig": {
    kind: "text",
    help: "Where the administrator's kubeconfig is written",
    fallback: "/etc/cortado/cortado.yaml",
  },
  "write-kubeconfig-mode": { kind: "text", help: "Its file mode", fallback: "600" },
  "kubeconfig-server": { kind: "text", help: "The server that the kubeconfig names" },
  "pause-image": {
    kind: "text",
    help: "Image of a pod's first container",
    fallback: "cortado.local/pause:1",
  },
  disable: {
    kind: "list",
    help: "Parts not to start: ingress, servicelb, coredns, local-storage, functions, mqtt, telemetry",
  },
  runtime: { kind: "text", help: "containerd, or simulated where there is no root", fallback: "containerd" },
  "cgroup-root": { kind: "text", help: "Parent of all pods' cgroups", fallback: "cortado" },
  "memory-limit": { kind: "number", help: "Bytes of memory that this machine may use in all" },
  "local-socket-dir": {
    kind: "text",
    help: "Folder for Unix sockets that only this machine's root can open",
  },
  "mqtt-port": { kind: "number", help: "Port of the MQTT broker; 0: none", fallback: "1883" },
  "mqtt-websocket-port": { kind: "number", help: "Port of MQTT over WebSocket; 0: none", fallback: "9001" },
  "mqtt-tls": { kind: "flag", help: "Opens MQTT over TLS too; not if absent" },
  "mqtt-tls-port": { kind: "number", help: "Its port; 0: none", fallback: "8883" },
  "mqtt-websocket-tls-port": {
    kind: "number",
    help: "Port of MQTT over WebSocket over TLS; 0: none",
    fallback: "0",
  },
  "mqtt-tls-cert-file": {
    kind: "text",
    help: "PEM file with its certificate and those between it and the root; the API server's if absent",
  },
  "mqtt-tls-key-file": { kind: "text", help: "PEM file with the certificate's key" },
  "mqtt-tls-ca-file": {
    kind: "text",
    help: "PEM file with who signs clients' certificates; none is asked for if absent",
  },
  "mqtt-tls-crl-file": { kind: "text", help: "PEM file with their certificates that no longer count" },
  "mqtt-tls-require-certificate": { kind: "flag", help: "Turns away clients without a certificate" },
  "gateway-port": { kind: "number", help: "Port of the function gateway; 0: none", fallback: "8080" },
  "telemetry-port": {
    kind: "number",
    help: "Port that the shop's events are taken on; 0: none",
    fallback: "8081",
  },
  "ingress-port": { kind: "number", help: "Port of the ingress; 0: none", fallback: "80" },
  "ingress-tls-port": { kind: "number", help: "Port of the ingress with TLS; 0: none", fallback: "443" },
  "log-level": { kind: "text", help: "debug, info, warn or error", fallback: "info" },
  hub: {
    kind: "text",
    help: "URL of a hub that steers this store; its node labels are those of its Cluster",
  },
  "hub-token": { kind: "text", help: "What the hub's ClusterRegistrationToken gave, for the first start" },
  "telemetry-budget": {
    kind: "pairs",
    help: "CLASS=BYTES a second that go to the hub: order, alert, machine, event, metric, log, total; 0: none",
  },
};

type Values = Partial<Record<SettingName, unknown>>;

/** Reads /etc/cortado/config.yaml; an absent file is an empty one. @throws StatusError naming the key that is not known */
export function readConfigFile(path: string, options: { readonly mustExist: boolean }): Values {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (!options.mustExist) return {};
    throw new StatusError("NotFound", `${path} cannot be read; name another file with --config`, { cause });
  }
  let parsed: unknown;
  try {
    parsed = load(text) ?? {};
  } catch (cause) {
    throw new StatusError("BadRequest", `${path}: ${(cause as Error).message.split("\n")[0]}`, { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new StatusError("BadRequest", `${path}: settings are written as "name: value"`);
  for (const name of Object.keys(parsed))
    if (!Object.hasOwn(serverSettings, name))
      throw new StatusError(
        "BadRequest",
        `${path}: ${name} is not a setting of cortado server; see cortado server --help`,
      );
  return parsed as Values;
}

/** Puts settings together: the command line goes before the file, the file before what is built in. */
export function toServerConfig(file: Values, line: Values, hostName: string): ServerConfig {
  const value = (name: SettingName): unknown => {
    const { fallback } = serverSettings[name];
    return line[name] ?? file[name] ?? fallback;
  };
  const text = (name: SettingName): string => String(value(name) ?? "");
  const optional = (name: SettingName): string | undefined =>
    value(name) === undefined ? undefined : text(name);
  const number = (name: SettingName): number => toNumber(name, value(name));
  const flag = (name: SettingName): boolean => toFlag(name, value(name));
  const isGiven = (name: SettingName): boolean => (line[name] ?? file[name]) !== undefined;
  const runtime = text("runtime");
  if (runtime !== "containerd" && runtime !== "simulated")
    throw new StatusError(
      "BadRequest",
      `runtime: ${JSON.stringify(runtime)} is not known; use containerd or simulated`,
    );
  return {
    dataDir: text("data-dir"),
    nodeName: toNodeName(optional("node-name") ?? hostName),
    nodeIp: optional("node-ip"),
    nodeLabels: toPairs("node-label", value("node-label")),
    bindAddress: text("bind-address"),
    httpsListenPort: number("https-listen-port"),
    tlsSan: toList(value("tls-san")),
    clusterCidr: text("cluster-cidr"),
    serviceCidr: text("service-cidr"),
    clusterDns: text("cluster-dns"),
    clusterDomain: text("cluster-domain"),
    resolvConf: text("resolv-conf"),
    writeKubeconfig: text("write-kubeconfig"),
    writeKubeconfigMode: Number.parseInt(text("write-kubeconfig-mode"), 8),
    kubeconfigServer: optional("kubeconfig-server"),
    pauseImage: text("pause-image"),
    disable: toDisabled(value("disable")),
    runtime,
    cgroupRoot: text("cgroup-root").replaceAll(/^\/+|\/+$/g, ""),
    memoryLimitBytes: value("memory-limit") === undefined ? undefined : number("memory-limit"),
    localSocketDir: optional("local-socket-dir"),
    hub: optional("hub"),
    hubToken: optional("hub-token"),
    telemetryBudget: Object.fromEntries(
      Object.entries(toPairs("telemetry-budget", value("telemetry-budget"))).map(([name, bytes]) => [
        name,
        toNumber(`telemetry-budget ${name}`, bytes),
      ]),
    ),
    mqttPort: number("mqtt-port"),
    mqttWebSocketPort: number("mqtt-websocket-port"),
    mqttTls: toMqttTls({ optional, number, flag, isGiven }),
    gatewayPort: number("gateway-port"),
    telemetryPort: number("telemetry-port"),
    ingressPort: number("ingress-port"),
    ingressTlsPort: number("ingress-tls-port"),
    logLevel: toLevel(text("log-level")),
  };
}

function toNumber(name: string, value: unknown): number {
  const number = Number(value);
  if (value === undefined || value === "" || !Number.isInteger(number) || number < 0)
    throw new StatusError("BadRequest", `${name}: ${JSON.stringify(value)} is not a whole number`);
  return number;
}

function toFlag(name: string, value: unknown): boolean {
  if (value === undefined || value === false || value === "false") return false;
  if (value === true || value === "true") return true;
  throw new StatusError("BadRequest", `${name}: ${JSON.stringify(value)} is neither true nor false`);
}

function toList(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item) => String(item).split(",")).filter((item) => item !== "");
}

function toPairs(name: SettingName, value: unknown): Readonly<Record<string, string>> {
  const pairs: Record<string, string> = {};
  for (const item of toList(value)) {
    const at = item.indexOf("=");
    if (at < 1) throw new StatusError("BadRequest", `${name}: ${JSON.stringify(item)} is not KEY=VALUE`);
    pairs[item.slice(0, at)] = item.slice(at + 1);
  }
  return pairs;
}

const parts = [
  "ingress",
  "traefik",
  "servicelb",
  "coredns",
  "local-storage",
  "metrics-server",
  "functions",
  "mqtt",
  "telemetry",
];

function toDisabled(value: unknown): readonly string[] {
  for (const part of toList(value))
    if (!parts.includes(part))
      throw new StatusError("BadRequest", `disable: there is no part ${part}; there are ${parts.join(", ")}`);
  // K3s's name for its ingress.
  return toList(value).map((part) => (part === "traefik" ? "ingress" : part));
}

function toNodeName(name: string): string {
  const lower = name.toLowerCase();
  if (/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(lower)) return lower;
  throw new StatusError(
    "BadRequest",
    `node-name: ${JSON.stringify(name)} is not a DNS name; use letters, digits and dashes`,
  );
}

function toLevel(text: string): ServerConfig["logLevel"] {
  if (text === "debug" || text === "info" || text === "warn" || text === "error") return text;
  throw new StatusError(
    "BadRequest",
    `log-level: ${JSON.stringify(text)} is not known; use debug, info, warn or error`,
  );
}
