import type {
  LabelSelector,
  Namespace,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  Pod,
} from "@cortado/kinds";

export type PolicyInput = {
  readonly policies: readonly NetworkPolicy[];
  readonly pods: readonly Pod[];
  readonly namespace: (name: string) => Namespace | undefined;
  readonly nodeName: string;
  readonly table: string;
  /** Always reachable: without names nothing works, and the DNS is no pod that a rule could name. */
  readonly dnsIp: string;
  readonly bridge: string;
};

/** The table that holds pods to their policies; undefined when no policy concerns a pod of this node. Pure. */
export function policyTable(input: PolicyInput): string | undefined {
  const isolated = input.pods
    .filter((pod) => hasAddress(pod) && pod.spec?.nodeName === input.nodeName)
    .map((pod) => ({ pod, ...policiesOf(pod, input.policies) }))
    .filter(({ ingress, egress }) => ingress !== undefined || egress !== undefined)
    .toSorted((first, second) => (ipOf(first.pod) < ipOf(second.pod) ? -1 : 1));
  if (isolated.length === 0) return undefined;
  const chains: string[] = [];
  const verdicts = { in: [] as string[], out: [] as string[] };
  for (const { pod, ingress, egress } of isolated) {
    if (ingress !== undefined) {
      verdicts.in.push(`${ipOf(pod)} : jump in-${ipOf(pod)}`);
      chains.push(
        chain(
          `in-${ipOf(pod)}`,
          ingress.flatMap((policy) => ingressRules(policy, pod, input)),
        ),
      );
    }
    if (egress !== undefined) {
      verdicts.out.push(`${ipOf(pod)} : jump out-${ipOf(pod)}`);
      chains.push(
        chain(
          `out-${ipOf(pod)}`,
          egress.flatMap((policy) => egressRules(policy, input)),
        ),
      );
    }
  }
  const map = (name: string, rows: readonly string[]): string =>
    `  map ${name} { type ipv4_addr : verdict;${rows.length === 0 ? "" : ` elements = { ${rows.join(", ")} };`} }`;
  return `table ip ${input.table} {
${chains.join("\n")}
${map("ingress", verdicts.in)}
${map("egress", verdicts.out)}
  chain forward {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    ip saddr vmap @egress
    ip daddr vmap @ingress
  }
  chain input {
    type filter hook input priority filter + 10; policy accept;
    ct state established,related accept
    iifname != "${input.bridge}" accept
    ip daddr ${input.dnsIp} accept
    ip saddr vmap @egress
  }
}
`;
}

function chain(name: string, rules: readonly string[]): string {
  return [`  chain ${name} {`, ...[...rules, "drop"].map((rule) => `    ${rule}`), "  }"].join("\n");
}

type Selected = {
  readonly ingress: readonly NetworkPolicy[] | undefined;
  readonly egress: readonly NetworkPolicy[] | undefined;
};

function policiesOf(pod: Pod, policies: readonly NetworkPolicy[]): Selected {
  const selecting = policies.filter(
    (policy) =>
      policy.metadata.namespace === pod.metadata.namespace &&
      selects(policy.spec?.podSelector ?? {}, pod.metadata.labels ?? {}),
  );
  const ingress = selecting.filter((policy) => typesOf(policy).includes("Ingress"));
  const egress = selecting.filter((policy) => typesOf(policy).includes("Egress"));
  return {
    ingress: ingress.length === 0 ? undefined : ingress,
    egress: egress.length === 0 ? undefined : egress,
  };
}

function typesOf(policy: NetworkPolicy): readonly string[] {
  const { policyTypes, egress } = policy.spec ?? {};
  if (policyTypes !== undefined && policyTypes.length > 0) return policyTypes;
  return egress === undefined ? ["Ingress"] : ["Ingress", "Egress"];
}

function ingressRules(policy: NetworkPolicy, pod: Pod, input: PolicyInput): readonly string[] {
  return (policy.spec?.ingress ?? []).flatMap((rule) => {
    const ports = portMatches(rule.ports, (name, protocol) => namedPorts(pod, name, protocol));
    const peers =
      rule.from === undefined || rule.from.length === 0
        ? [""]
        : rule.from.flatMap((peer) => peerMatch(peer, "saddr", policy, input));
    return peers.flatMap((peer) => ports.map((port) => rule_(peer, port)));
  });
}

// A named port of an egress rule means another number at each peer, so it is matched together with the address.
function egressRules(policy: NetworkPolicy, input: PolicyInput): readonly string[] {
  return (policy.spec?.egress ?? []).flatMap((rule) => {
    const numbered = rule.ports?.filter((port) => typeof port.port !== "string");
    const named = rule.ports?.filter((port) => typeof port.port === "string") ?? [];
    const ports =
      rule.ports === undefined || rule.ports.length === 0
        ? [""]
        : numbered?.length === 0
          ? []
          : portMatches(numbered, () => []);
    const peers =
      rule.to === undefined || rule.to.length === 0
        ? [""]
        : rule.to.flatMap((peer) => peerMatch(peer, "daddr", policy, input));
    const byName = named.flatMap((port) => {
      const protocol = (port.protocol ?? "TCP").toLowerCase();
      const pods =
        rule.to === undefined || rule.to.length === 0
          ? input.pods.filter(hasAddress)
          : rule.to.flatMap((peer) => peerPods(peer, policy, input));
      const pairs = pods.flatMap((pod) =>
        namedPorts(pod, String(port.port), protocol).map((number) => `${ipOf(pod)} . ${number}`),
      );
      return pairs.length === 0
        ? []
        : [`ip daddr . ${protocol} dport { ${[...new Set(pairs)].toSorted().join(", ")} } return`];
    });
    return [...peers.flatMap((peer) => ports.map((port) => rule_(peer, port))), ...byName];
  });
}

function rule_(peer: string, port: string): string {
  return [peer, port, "return"].filter((part) => part !== "").join(" ");
}

/** Matches for ports; one empty match when every port is meant, none when no named port is there. */
function portMatches(
  ports: readonly NetworkPolicyPort[] | undefined,
  named: (name: string, protocol: string) => readonly number[],
): readonly string[] {
  if (ports === undefined || ports.length === 0) return [""];
  return ports.flatMap(({ protocol = "TCP", port, endPort }) => {
    const proto = protocol.toLowerCase();
    if (port === undefined) return [`meta l4proto ${proto}`];
    if (typeof port === "number")
      return [`${proto} dport ${endPort === undefined ? port : `${port}-${endPort}`}`];
    const numbers = named(port, proto);
    return numbers.length === 0 ? [] : [`${proto} dport { ${numbers.join(", ")} }`];
  });
}

function namedPorts(pod: Pod, name: string, protocol: string): readonly number[] {
  const ports = (pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  return ports
    .filter((port) => port.name === name && (port.protocol ?? "TCP").toLowerCase() === protocol)
    .map((port) => port.containerPort);
}

function peerMatch(
  peer: NetworkPolicyPeer,
  side: "saddr" | "daddr",
  policy: NetworkPolicy,
  input: PolicyInput,
): readonly string[] {
  if (peer.ipBlock !== undefined) {
    const { cidr, except = [] } = peer.ipBlock;
    if (cidr.includes(":")) return []; // IPv6 is not carried on this node's pod network
    const kept = cidr === "0.0.0.0/0" && except.length === 0 ? "" : `ip ${side} ${cidr}`;
    const outside = except.filter((one) => !one.includes(":"));
    return [
      outside.length === 0
        ? kept || `ip ${side} 0.0.0.0/0`
        : `${kept} ip ${side} != { ${outside.join(", ")} }`.trim(),
    ];
  }
  const ips = [...new Set(peerPods(peer, policy, input).map(ipOf))].toSorted();
  return ips.length === 0 ? [] : [`ip ${side} { ${ips.join(", ")} }`];
}

function peerPods(peer: NetworkPolicyPeer, policy: NetworkPolicy, input: PolicyInput): readonly Pod[] {
  return input.pods.filter((pod) => {
    if (!hasAddress(pod)) return false;
    const inNamespace =
      peer.namespaceSelector === undefined
        ? pod.metadata.namespace === policy.metadata.namespace
        : selects(
            peer.namespaceSelector,
            input.namespace(pod.metadata.namespace ?? "")?.metadata.labels ?? {},
          );
    return (
      inNamespace && (peer.podSelector === undefined || selects(peer.podSelector, pod.metadata.labels ?? {}))
    );
  });
}

function hasAddress(pod: Pod): boolean {
  const over = pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
  return !over && pod.spec?.hostNetwork !== true && /^[\d.]+$/.test(pod.status?.podIP ?? "");
}

function ipOf(pod: Pod): string {
  return pod.status?.podIP ?? "";
}

/** True when the labels are what the selector asks; an empty selector takes all. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    if (labels[key] !== value) return false;
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      default: // DoesNotExist; the API takes no other
        return value === undefined;
    }
  });
}
