import type { Ingress, IngressBackend } from "@cortado/kinds";

export type Backend = {
  readonly namespace: string;
  readonly service: string;
  readonly port: number | string;
};

type PathRule = {
  readonly kind: "exact" | "prefix";
  readonly path: string;
  readonly backend: Backend;
  readonly from: string;
};
type HostRules = { readonly rules: PathRule[]; fallback: Backend | undefined };

/** Which backend a host and a path mean. */
export type RouteTable = {
  readonly hosts: ReadonlyMap<string, HostRules>;
  readonly fallback: Backend | undefined;
};

export type ClassOptions = { readonly classNames: readonly string[] };

/** An ingress is ours when it names our class, or none. */
export function isOurs(ingress: Ingress, { classNames }: ClassOptions): boolean {
  const named =
    ingress.spec?.ingressClassName ?? ingress.metadata.annotations?.["kubernetes.io/ingress.class"];
  return named === undefined || classNames.includes(named);
}

/** Puts all rules into one table; where two say the same, the older ingress wins. Pure. */
export function routeTable(ingresses: readonly Ingress[], options: ClassOptions): RouteTable {
  const hosts = new Map<string, HostRules>();
  let fallback: Backend | undefined;
  const age = (ingress: Ingress): string =>
    `${String(ingress.metadata.creationTimestamp ?? "")} ${ingress.metadata.namespace}/${ingress.metadata.name}`;
  for (const ingress of ingresses
    .filter((one) => isOurs(one, options))
    .toSorted((first, second) => (age(first) < age(second) ? -1 : 1))) {
    const whole = toBackend(ingress.spec?.defaultBackend, ingress);
    for (const rule of ingress.spec?.rules ?? []) {
      const host = (rule.host ?? "").toLowerCase();
      const known = hosts.get(host) ?? { rules: [], fallback: undefined };
      hosts.set(host, known);
      known.fallback ??= whole;
      for (const path of rule.http?.paths ?? []) {
        const backend = toBackend(path.backend, ingress);
        if (backend === undefined) continue;
        const kind = path.pathType === "Exact" ? "exact" : "prefix";
        const from = `${ingress.metadata.namespace}/${ingress.metadata.name}`;
        known.rules.push({
          kind,
          path: kind === "exact" ? (path.path ?? "/") : trimSlash(path.path ?? "/"),
          backend,
          from,
        });
      }
    }
    if ((ingress.spec?.rules ?? []).length === 0 || whole !== undefined) fallback ??= whole;
  }
  for (const { rules } of hosts.values()) rules.sort(byPrecedence);
  return { hosts, fallback };
}

/** The backend for a request; undefined when no rule takes it. The host may carry a port. */
export function route(
  table: RouteTable,
  request: { readonly host: string; readonly path: string },
): Backend | undefined {
  const host = request.host.toLowerCase().replace(/:\d+$/, "").replace(/\.$/, "");
  const wildcard = `*${host.slice(host.indexOf("."))}`;
  let fallback: Backend | undefined;
  for (const name of [host, host.includes(".") ? wildcard : undefined, ""]) {
    const rules = name === undefined ? undefined : table.hosts.get(name);
    const found = rules?.rules.find((rule) => matches(rule, request.path));
    if (found !== undefined) return found.backend;
    fallback ??= rules?.fallback;
    // A host that has rules of its own is not answered by those of a wildcard.
    if (rules !== undefined && name === host) return fallback ?? table.fallback;
  }
  return fallback ?? table.fallback;
}

function matches(rule: PathRule, path: string): boolean {
  if (rule.kind === "exact") return path === rule.path;
  return rule.path === "" || path === rule.path || path.startsWith(`${rule.path}/`);
}

// Exact before prefix, longer before shorter.
function byPrecedence(first: PathRule, second: PathRule): number {
  if (first.path.length !== second.path.length && first.kind === second.kind)
    return second.path.length - first.path.length;
  return Number(second.kind === "exact") - Number(first.kind === "exact");
}

function trimSlash(path: string): string {
  return path.replace(/\/+$/, "");
}

function toBackend(backend: IngressBackend | undefined, ingress: Ingress): Backend | undefined {
  const service = backend?.service;
  const port = service?.port?.number ?? service?.port?.name;
  // A backend by "resource" is another controller's; no rule is better than a wrong one.
  if (service === undefined || port === undefined) return undefined;
  return { namespace: ingress.metadata.namespace ?? "", service: service.name, port };
}
