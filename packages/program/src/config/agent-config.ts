import { readFileSync } from "node:fs";
import type { Taint } from "@cortado/kinds";
import { readServerUrl } from "@cortado/cluster/join/door";
import { parseToken, type JoinToken } from "@cortado/cluster/join/token";
import { StatusError } from "@cortado/std/status";
import {
  toLevel,
  toList,
  toNodeName,
  toNumber,
  toPairs,
  toRuntime,
  type LogLevel,
  type Setting,
  type Values,
} from "./settings.ts";

/** What an agent is told; names are K3s's where K3s has them, ours where it does not. */
export type AgentConfig = {
  readonly server: URL;
  readonly token: JoinToken;
  readonly dataDir: string;
  readonly nodeName: string;
  readonly nodeIp: string | undefined;
  /** Both count when the node is made, and never again. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly nodeTaints: readonly Taint[];
  readonly podsMax: number | undefined;
  readonly resolvConf: string;
  readonly pauseImage: string;
  readonly runtime: "containerd" | "simulated";
  readonly cgroupRoot: string;
  readonly memoryLimitBytes: number | undefined;
  readonly logLevel: LogLevel;
};

export const agentSettingNames = [
  "server",
  "token",
  "token-file",
  "data-dir",
  "node-name",
  "node-ip",
  "node-label",
  "node-taint",
  "kubelet-arg",
  "resolv-conf",
  "pause-image",
  "runtime",
  "cgroup-root",
  "memory-limit",
  "log-level",
] as const;
export type AgentSettingName = (typeof agentSettingNames)[number];

/** Every setting of `cortado agent`, by its name in the file and, with two dashes, on the command line. */
export const agentSettings: Readonly<Record<AgentSettingName, Setting>> = {
  server: { kind: "text", help: "The server to join, as https://HOST:6443 (or K3S_URL)" },
  token: { kind: "text", help: "What cortado token prints there, or the secret alone (or K3S_TOKEN)" },
  "token-file": { kind: "text", help: "File with the token (or K3S_TOKEN_FILE)" },
  "data-dir": { kind: "text", help: "Folder for all state", fallback: "/var/lib/cortado" },
  "node-name": { kind: "text", help: "Name of this node; the host name if absent (or K3S_NODE_NAME)" },
  "node-ip": { kind: "text", help: "Address of this node, by which other nodes reach it; found if absent" },
  "node-label": { kind: "pairs", help: "KEY=VALUE labels of the node, when it is made" },
  "node-taint": { kind: "list", help: "KEY=VALUE:EFFECT taints of the node, when it is made" },
  "kubelet-arg": { kind: "pairs", help: "max-pods=N: pods that the node takes at most" },
  "resolv-conf": {
    kind: "text",
    help: "File that names the DNS servers outside",
    fallback: "/etc/resolv.conf",
  },
  "pause-image": {
    kind: "text",
    help: "Image of a pod's first container",
    fallback: "cortado.local/pause:1",
  },
  runtime: { kind: "text", help: "containerd, or simulated where there is no root", fallback: "containerd" },
  "cgroup-root": { kind: "text", help: "Parent of all pods' cgroups", fallback: "cortado" },
  "memory-limit": { kind: "number", help: "Bytes of memory that this machine may use in all" },
  "log-level": { kind: "text", help: "debug, info, warn or error", fallback: "info" },
};

const ownContainerd = "the agent runs a containerd of its own";
const serverSays = "the server says it for all nodes";

/** Flags of `k3s agent` that this agent does not have, and why. */
export const refusedAgentFlags: Readonly<Record<string, string>> = {
  "with-node-id": "give a name with --node-name",
  "node-external-ip": "nodes have one address, --node-ip",
  "node-internal-dns": "nodes are known by their address, --node-ip",
  "node-external-dns": "nodes are known by their address, --node-ip",
  "flannel-iface": "the address of --node-ip says which line is used",
  "flannel-conf": serverSays,
  "flannel-cni-conf": serverSays,
  "kube-proxy-arg": "services need no settings here",
  "container-runtime-endpoint": ownContainerd,
  "image-service-endpoint": ownContainerd,
  "default-runtime": ownContainerd,
  snapshotter: "it is chosen by what the disk can do",
  "private-registry": "write hosts.toml files under DATA/agent/containerd/certs.d",
  "system-default-registry": "there are no system images to pull",
  "disable-default-registry-endpoint": "write hosts.toml files under DATA/agent/containerd/certs.d",
  "nonroot-devices": ownContainerd,
  "image-credential-provider-bin-dir": "use imagePullSecrets",
  "image-credential-provider-config": "use imagePullSecrets",
  "protect-kernel-defaults": "kernel settings are not changed beyond what forwarding needs",
  selinux: "it is not offered",
  docker: ownContainerd,
  rootless: "an agent needs root; --runtime simulated does not",
  "vpn-auth": "it is not offered",
  "vpn-auth-file": "it is not offered",
  "enable-pprof": "it is not offered",
  "bind-address": "an agent opens no port",
};

/** Flags of `k3s agent` that change nothing here. */
export const idleAgentFlags: readonly string[] = [
  "lb-server-port",
  "disable-apiserver-lb",
  "debug",
  "v",
  "vmodule",
  "log",
  "alsologtostderr",
  "prefer-bundled-bin",
];

const environment: Readonly<Partial<Record<AgentSettingName, string>>> = {
  server: "K3S_URL",
  token: "K3S_TOKEN",
  "token-file": "K3S_TOKEN_FILE",
  "node-name": "K3S_NODE_NAME",
};

type Given = {
  readonly file: Values<AgentSettingName>;
  readonly line: Values<AgentSettingName>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostName: string;
};

/** Puts settings together: the command line goes before the environment, that before the file. @throws StatusError naming what is wrong */
export function toAgentConfig({ file, line, env, hostName }: Given): AgentConfig {
  const value = (name: AgentSettingName): unknown =>
    line[name] ?? env[environment[name] ?? ""] ?? file[name] ?? agentSettings[name].fallback;
  const text = (name: AgentSettingName): string => String(value(name) ?? "");
  const optional = (name: AgentSettingName): string | undefined =>
    value(name) === undefined ? undefined : text(name);
  const memory = value("memory-limit");
  if (optional("server") === undefined)
    throw new StatusError(
      "BadRequest",
      "server: name the server to join, with --server https://HOST:6443 or K3S_URL",
    );
  return {
    server: readServerUrl(text("server")),
    token: readToken(optional("token"), optional("token-file")),
    dataDir: text("data-dir"),
    nodeName: toNodeName(optional("node-name") ?? hostName),
    nodeIp: optional("node-ip"),
    nodeLabels: toPairs("node-label", value("node-label")),
    nodeTaints: toList(value("node-taint")).map(toTaint),
    podsMax: toPodsMax(toPairs("kubelet-arg", value("kubelet-arg"))),
    resolvConf: text("resolv-conf"),
    pauseImage: text("pause-image"),
    runtime: toRuntime(text("runtime")),
    cgroupRoot: text("cgroup-root").replaceAll(/^\/+|\/+$/g, ""),
    memoryLimitBytes: memory === undefined ? undefined : toNumber("memory-limit", memory),
    logLevel: toLevel(text("log-level")),
  };
}

function readToken(token: string | undefined, path: string | undefined): JoinToken {
  if (token !== undefined) return parseToken(token);
  if (path === undefined)
    throw new StatusError(
      "BadRequest",
      "token: an agent joins with the server's token; print it there with cortado token, and give it with --token, --token-file, K3S_TOKEN or K3S_TOKEN_FILE",
    );
  try {
    return parseToken(readFileSync(path, "utf8"));
  } catch (cause) {
    if (cause instanceof StatusError) throw cause;
    throw new StatusError("NotFound", `token-file: ${path} cannot be read`, { cause });
  }
}

function toTaint(text: string): Taint {
  const [, key, value, effect] = /^([^=:]+)(?:=([^=:]*))?:([^:]+)$/.exec(text) ?? [];
  if (
    key === undefined ||
    (effect !== "NoSchedule" && effect !== "PreferNoSchedule" && effect !== "NoExecute")
  )
    throw new StatusError(
      "BadRequest",
      `node-taint: ${JSON.stringify(text)} is not KEY=VALUE:EFFECT, where EFFECT is NoSchedule, PreferNoSchedule or NoExecute`,
    );
  return { key, effect, ...(value === undefined || value === "" ? {} : { value }) };
}

function toPodsMax(args: Readonly<Record<string, string>>): number | undefined {
  const { "max-pods": podsMax, ...others } = args;
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw new StatusError(
      "BadRequest",
      `kubelet-arg: ${other} is not offered; of the kubelet's there is max-pods`,
    );
  return podsMax === undefined ? undefined : toNumber("kubelet-arg max-pods", podsMax);
}
