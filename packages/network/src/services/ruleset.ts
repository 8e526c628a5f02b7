import type { Target } from "./endpoints.ts";
import type { ProxyPort } from "./plan.ts";

/** What one nft table holds, in parts that can be compared one by one. */
export type Ruleset = {
  /** Rules by chain. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Sets that a chain keeps clients in, with their timeout. */
  readonly sets: ReadonlyMap<string, number>;
  /** Elements by map or set: key to verdict, or to "" in a set. */
  readonly elements: ReadonlyMap<ElementsName, ReadonlyMap<string, string>>;
};

const elementsNames = ["services", "nodeports", "no-services", "no-nodeports", "hairpins"] as const;
export type ElementsName = (typeof elementsNames)[number];

/** The rules for these ports. Pure. */
export function serviceRules(ports: readonly ProxyPort[]): Ruleset {
  const chains = new Map<string, readonly string[]>();
  const sets = new Map<string, number>();
  const elements = new Map(elementsNames.map((name) => [name, new Map<string, string>()]));
  const put = (name: ElementsName, key: string, verdict: string): void =>
    void elements.get(name)?.set(key, verdict);
  for (const port of ports) {
    const inside = addChains({ port, prefix: "svc", targets: port.insideTargets, chains, sets });
    const same =
      port.insideTargets === port.outsideTargets || sameTargets(port.insideTargets, port.outsideTargets);
    const hasOutside = port.outside.length > 0 || port.nodePort !== undefined;
    const outside =
      same || !hasOutside
        ? inside
        : addChains({ port, prefix: "ext", targets: port.outsideTargets, chains, sets });
    for (const { ip, port: number } of port.inside)
      putFrontend({ put, key: `${ip} . ${port.protocol} . ${number}`, chain: inside, onNode: false });
    for (const { ip, port: number } of port.outside)
      putFrontend({ put, key: `${ip} . ${port.protocol} . ${number}`, chain: outside, onNode: false });
    if (port.nodePort !== undefined)
      putFrontend({ put, key: `${port.protocol} . ${port.nodePort}`, chain: outside, onNode: true });
    for (const { ip } of [...port.insideTargets, ...port.outsideTargets])
      put("hairpins", `${ip} . ${ip}`, "");
  }
  return { chains, sets, elements };
}

type Put = (name: ElementsName, key: string, verdict: string) => void;
type Frontend = {
  readonly put: Put;
  readonly key: string;
  readonly chain: string | undefined;
  readonly onNode: boolean;
};

// Whoever asks for a service that nobody answers is told at once.
function putFrontend({ put, key, chain, onNode }: Frontend): void {
  if (chain === undefined) put(onNode ? "no-nodeports" : "no-services", key, "goto refuse");
  else put(onNode ? "nodeports" : "services", key, `goto ${chain}`);
}

type AddChains = {
  readonly port: ProxyPort;
  readonly prefix: "svc" | "ext";
  readonly targets: readonly Target[];
  readonly chains: Map<string, readonly string[]>;
  readonly sets: Map<string, number>;
};

function addChains({ port, prefix, targets, chains, sets }: AddChains): string | undefined {
  if (targets.length === 0) return undefined;
  const name = `${prefix}-${port.name}`;
  if (port.affinityS === undefined) {
    chains.set(name, [`meta l4proto ${port.protocol} ${dnat(targets)}`]);
    return name;
  }
  const places = targets.map((target) => ({
    target,
    chain: `${name}/${target.ip}/${target.port}`,
    set: `aff-${prefix}-${port.name}/${target.ip}/${target.port}`,
  }));
  for (const { target, chain, set } of places) {
    sets.set(set, port.affinityS);
    chains.set(chain, [
      `update @${set} { ip saddr }`,
      `meta l4proto ${port.protocol} dnat to ${target.ip}:${target.port}`,
    ]);
  }
  const spread = places.map(({ chain }, at) => `${at} : goto ${chain}`).join(", ");
  chains.set(name, [
    ...places.map(({ chain, set }) => `ip saddr @${set} goto ${chain}`),
    `numgen inc mod ${places.length} vmap { ${spread} }`,
  ]);
  return name;
}

function dnat(targets: readonly Target[]): string {
  const [only] = targets;
  if (only !== undefined && targets.length === 1) return `dnat to ${only.ip}:${only.port}`;
  const rows = targets.map(({ ip, port }, at) => `${at} : ${ip} . ${port}`).join(", ");
  return `dnat ip to numgen inc mod ${targets.length} map { ${rows} }`;
}

function sameTargets(first: readonly Target[], second: readonly Target[]): boolean {
  return (
    first.length === second.length &&
    first.every((target, at) => target.ip === second[at]?.ip && target.port === second[at]?.port)
  );
}

export type TableOptions = {
  readonly table: string;
  readonly bridge: string;
  readonly podCidr: string;
  /** Addresses of all nodes' pods. */
  readonly clusterCidr: string;
  /** True where bridged packets are not seen by these hooks: then pods of one bridge reach each other's services only disguised. */
  readonly disguise: boolean;
};

/** A script that makes the whole table anew in one transaction. */
export function wholeTable(rules: Ruleset, options: TableOptions): string {
  const { table } = options;
  const lines = [
    `table ip ${table} {}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    ...[...rules.sets].map(([name, seconds]) => `  set ${name} { ${setType(seconds)} }`),
    ...[...rules.chains].flatMap(([name, rows]) => [
      `  chain ${name} {`,
      ...rows.map((row) => `    ${row}`),
      "  }",
    ]),
    // A reset comes at once; the kernel sends no more than one ICMP refusal a second to the same host.
    "  chain refuse { meta l4proto tcp reject with tcp reset; reject; }",
    ...elementsNames.flatMap((name) => elementsBlock(name, rules.elements.get(name) ?? new Map())),
    ...hooks(options),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function setType(seconds: number): string {
  return `type ipv4_addr; flags dynamic,timeout; timeout ${seconds}s;`;
}

const types: Readonly<Record<ElementsName, string>> = {
  services: "map services { type ipv4_addr . inet_proto . inet_service : verdict;",
  nodeports: "map nodeports { type inet_proto . inet_service : verdict;",
  "no-services": "map no-services { type ipv4_addr . inet_proto . inet_service : verdict;",
  "no-nodeports": "map no-nodeports { type inet_proto . inet_service : verdict;",
  hairpins: "set hairpins { type ipv4_addr . ipv4_addr;",
};

function elementsBlock(name: ElementsName, elements: ReadonlyMap<string, string>): readonly string[] {
  const rows = [...elements].map(([key, verdict]) => (verdict === "" ? key : `${key} : ${verdict}`));
  return [`  ${types[name]}${rows.length === 0 ? "" : ` elements = { ${rows.join(", ")} };`} }`];
}

function hooks({ bridge, podCidr, clusterCidr, disguise }: Omit<TableOptions, "table">): readonly string[] {
  const leaves = `ct status dnat oifname != { "lo", "${bridge}" }`;
  const ask = [
    "    ip daddr . meta l4proto . th dport vmap @services;",
    "    fib daddr type local meta l4proto . th dport vmap @nodeports;",
  ];
  const none = [
    "    ip daddr . meta l4proto . th dport vmap @no-services;",
    "    fib daddr type local meta l4proto . th dport vmap @no-nodeports;",
  ];
  const chain = (name: string, hook: string, rows: readonly string[]): readonly string[] => [
    `  chain ${name} {`,
    `    type ${hook}; policy accept;`,
    ...rows,
    "  }",
  ];
  return [
    // Host ports on 127.0.0.1 need route_localnet on the bridge; pods must not reach the node's own loopback by it.
    ...chain("guard", "filter hook prerouting priority raw", [
      `    iifname "${bridge}" ip daddr 127.0.0.0/8 drop;`,
    ]),
    ...chain("pre", "nat hook prerouting priority dstnat", ask),
    ...chain("out", "nat hook output priority -100", ask),
    ...chain("post", "nat hook postrouting priority srcnat", [
      "    ct status dnat ip saddr . ip daddr @hairpins masquerade;",
      ...(disguise ? [`    ct status dnat ip saddr ${podCidr} ip daddr ${podCidr} masquerade;`] : []),
      `    ct status dnat fib saddr type local oifname "${bridge}" masquerade;`,
      // What this node has led elsewhere comes back by it, unless two pods speak: they see each other's own addresses.
      `    ${leaves} ip daddr != ${clusterCidr} masquerade;`,
      `    ${leaves} ip saddr != ${clusterCidr} masquerade;`,
    ]),
    ...chain("no-forward", "filter hook forward priority filter", none),
    ...chain("no-input", "filter hook input priority filter", none),
    ...chain("no-output", "filter hook output priority filter", none),
  ];
}

/** A script that turns one table into the other; "" when nothing differs. */
export function tableChange(from: Ruleset, to: Ruleset, table: string): string {
  const lines: string[] = [];
  const goneChains = [...from.chains.keys()].filter((name) => !to.chains.has(name));
  // Elements point to chains: old ones go first, chains change, new ones come last.
  for (const name of elementsNames) {
    const [before, after] = [
      from.elements.get(name) ?? new Map<string, string>(),
      to.elements.get(name) ?? new Map<string, string>(),
    ];
    const gone = [...before].filter(([key, verdict]) => after.get(key) !== verdict).map(([key]) => key);
    if (gone.length > 0) lines.push(`delete element ip ${table} ${name} { ${gone.join(", ")} }`);
  }
  for (const [name, seconds] of to.sets)
    if (!from.sets.has(name)) lines.push(`add set ip ${table} ${name} { ${setType(seconds)} }`);
  const changed = [...to.chains].filter(
    ([name, rows]) => (from.chains.get(name) ?? []).join("\n") !== rows.join("\n"),
  );
  for (const [name] of changed) lines.push(`add chain ip ${table} ${name}`);
  for (const [name] of changed) if (from.chains.has(name)) lines.push(`flush chain ip ${table} ${name}`);
  for (const name of goneChains) lines.push(`flush chain ip ${table} ${name}`);
  for (const [name, rows] of changed)
    for (const row of rows) lines.push(`add rule ip ${table} ${name} ${row}`);
  for (const name of goneChains.toSorted((first, second) => first.length - second.length))
    lines.push(`delete chain ip ${table} ${name}`);
  for (const name of from.sets.keys()) if (!to.sets.has(name)) lines.push(`delete set ip ${table} ${name}`);
  for (const name of elementsNames) {
    const [before, after] = [
      from.elements.get(name) ?? new Map<string, string>(),
      to.elements.get(name) ?? new Map<string, string>(),
    ];
    const fresh = [...after].filter(([key, verdict]) => before.get(key) !== verdict);
    if (fresh.length > 0)
      lines.push(
        `add element ip ${table} ${name} { ${fresh.map(([key, verdict]) => (verdict === "" ? key : `${key} : ${verdict}`)).join(", ")} }`,
      );
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}
