import { invalid, invalidObject } from "@cortado/kinds/field-errors";
import { fieldOf, growTree, listAt, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import type { AdmissionStep, Server } from "../server.ts";

/** Node ports that services may have (kube-apiserver, --service-node-port-range). */
export const nodePortRange = { first: 30_000, last: 32_767 } as const;

export type AddressPool = { readonly first: number; readonly last: number; readonly text: string };

/** Reads an IPv4 network; the network's own address and the broadcast address are left out. */
export function readPool(cidr: string): AddressPool {
  const [address = "", bits = "32"] = cidr.split("/");
  const size = 2 ** (32 - Number(bits));
  const base = numberOf(address);
  return { first: base + 1, last: base + size - 2, text: cidr };
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

/** Who holds which cluster IP and which node port; kept true by following the services. */
export class ServiceAddresses {
  readonly #held = new Map<string, { readonly ips: readonly string[]; readonly ports: readonly string[] }>();
  readonly #ips = new Map<string, string>();
  readonly #ports = new Map<string, string>();
  readonly #pool: AddressPool;
  readonly #reserved: ReadonlySet<string>;

  constructor(pool: AddressPool, reserved: readonly string[]) {
    this.#pool = pool;
    this.#reserved = new Set(reserved);
  }

  put(key: string, service: Tree): void {
    this.gone(key);
    const ips = listAt(service, "spec", "clusterIPs")
      .map(String)
      .filter((ip) => ip !== "None" && ip !== "");
    const ports = portsOf(service);
    this.#held.set(key, { ips, ports });
    for (const ip of ips) this.#ips.set(ip, key);
    for (const port of ports) this.#ports.set(port, key);
  }

  gone(key: string): void {
    const held = this.#held.get(key);
    for (const ip of held?.ips ?? []) if (this.#ips.get(ip) === key) this.#ips.delete(ip);
    for (const port of held?.ports ?? []) if (this.#ports.get(port) === key) this.#ports.delete(port);
    this.#held.delete(key);
  }

  holderOfIp(ip: string): string | undefined {
    return this.#ips.get(ip);
  }

  holderOfPort(port: string): string | undefined {
    return this.#ports.get(port);
  }

  contains(ip: string): boolean {
    const number = /^\d+\.\d+\.\d+\.\d+$/.test(ip) ? numberOf(ip) : -1;
    return number >= this.#pool.first && number <= this.#pool.last;
  }

  get range(): string {
    return this.#pool.text;
  }

  freeIp(random: { integer(below: number): number }): string {
    const size = this.#pool.last - this.#pool.first + 1;
    const start = random.integer(size);
    for (let step = 0; step < size; step += 1) {
      const ip = addressOf(this.#pool.first + ((start + step) % size));
      if (!this.#ips.has(ip) && !this.#reserved.has(ip)) return ip;
    }
    throw new StatusError("InternalError", `range is full: no cluster IP is free in ${this.#pool.text}`);
  }

  freePort(protocol: string, random: { integer(below: number): number }): number {
    const size = nodePortRange.last - nodePortRange.first + 1;
    const start = random.integer(size);
    for (let step = 0; step < size; step += 1) {
      const port = nodePortRange.first + ((start + step) % size);
      if (!this.#ports.has(`${protocol}/${port}`)) return port;
    }
    throw new StatusError("InternalError", "range is full: no node port is free");
  }
}

function portsOf(service: Tree): readonly string[] {
  const ports = listAt(service, "spec", "ports").filter(
    (port) => typeof fieldOf(port, "nodePort") === "number" && fieldOf(port, "nodePort") !== 0,
  );
  const check = fieldOf(treeAt(service, "spec"), "healthCheckNodePort");
  return [
    ...ports.map((port) => `${textAt(port, "protocol") || "TCP"}/${String(fieldOf(port, "nodePort"))}`),
    ...(typeof check === "number" ? [`TCP/${check}`] : []),
  ];
}

/** Gives services their cluster IP and node ports (kubernetes, pkg/registry/core/service/storage/alloc.go). */
export function serviceAllocation(server: () => Server, addresses: ServiceAddresses): AdmissionStep {
  return {
    name: "ServiceAllocation",
    mutate({ operation, kind, object, subresource, namespace, name, current }) {
      if (
        kind.group !== "" ||
        kind.kind !== "Service" ||
        object === undefined ||
        subresource !== "" ||
        operation === "DELETE"
      )
        return;
      const key = `/registry/core/services/${namespace}/${name}`;
      const service = { object, current, key, addresses, random: server().random };
      giveIp(service);
      givePorts(service);
      // Held from now on, so that two creations at once get two addresses; `settle` gives back what was not written.
      addresses.put(key, object);
    },
    settle({ kind, object, current, namespace, name, isDryRun, subresource }, isWritten) {
      if (kind.group !== "" || kind.kind !== "Service" || object === undefined || subresource !== "") return;
      if (isWritten && !isDryRun) return;
      const key = `/registry/core/services/${namespace}/${name}`;
      if (current !== undefined) addresses.put(key, current);
      else if (!isWritten) addresses.gone(key);
    },
  };
}

type Giving = {
  readonly object: Tree;
  readonly current: Tree | undefined;
  readonly key: string;
  readonly addresses: ServiceAddresses;
  readonly random: { integer(below: number): number };
};

const service = { group: "", kind: "Service" };

function giveIp({ object, current, key, addresses, random }: Giving): void {
  const spec = growTree(object, "spec");
  if (textAt(spec, "type") === "ExternalName") {
    for (const field of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]) delete spec[field];
    return;
  }
  const before = textAt(current, "spec", "clusterIP");
  const wanted = textAt(spec, "clusterIP") || String(listAt(spec, "clusterIPs")[0] ?? "") || before;
  const name = textAt(object, "metadata", "name");
  if (wanted !== "" && wanted !== "None" && wanted !== before) {
    if (!addresses.contains(wanted))
      throw invalidObject(service, name, [
        invalid(
          "spec.clusterIPs",
          [wanted],
          `failed to allocate IP ${wanted}: the provided IP (${wanted}) is not in the valid range. The range of valid IPs is ${addresses.range}`,
        ),
      ]);
    const holder = addresses.holderOfIp(wanted);
    if (holder !== undefined && holder !== key)
      throw invalidObject(service, name, [
        invalid(
          "spec.clusterIPs",
          [wanted],
          `failed to allocate IP ${wanted}: provided IP is already allocated`,
        ),
      ]);
  }
  const ip = wanted === "" ? addresses.freeIp(random) : wanted;
  setField(spec, "clusterIP", ip);
  setField(spec, "clusterIPs", [ip]);
  setField(spec, "ipFamilies", ["IPv4"]);
  setField(spec, "ipFamilyPolicy", textAt(spec, "ipFamilyPolicy") || "SingleStack");
}

function givePorts({ object, current, key, addresses, random }: Giving): void {
  const spec = growTree(object, "spec");
  const type = textAt(spec, "type");
  const takesPorts =
    type === "NodePort" ||
    (type === "LoadBalancer" && fieldOf(spec, "allocateLoadBalancerNodePorts") !== false);
  const given = new Set<string>();
  for (const [index, port] of (listAt(spec, "ports") as readonly Tree[]).entries()) {
    const protocol = textAt(port, "protocol") || "TCP";
    if (!takesPorts && type !== "LoadBalancer") {
      delete port["nodePort"];
      continue;
    }
    const old = listAt(current, "spec", "ports").find(
      (one) =>
        fieldOf(one, "port") === fieldOf(port, "port") && (textAt(one, "protocol") || "TCP") === protocol,
    );
    let number = fieldOf(port, "nodePort") || fieldOf(old, "nodePort");
    if (typeof number !== "number" && !takesPorts) continue;
    if (typeof number === "number") checkPort({ object, key, addresses, number, protocol, index });
    else number = addresses.freePort(protocol, random);
    while (given.has(`${protocol}/${String(number)}`)) number = addresses.freePort(protocol, random);
    given.add(`${protocol}/${String(number)}`);
    setField(port, "nodePort", number);
  }
}

type PortCheck = {
  readonly object: Tree;
  readonly key: string;
  readonly addresses: ServiceAddresses;
  readonly number: number;
  readonly protocol: string;
  readonly index: number;
};

function checkPort({ object, key, addresses, number, protocol, index }: PortCheck): void {
  const field = `spec.ports[${index}].nodePort`;
  const name = textAt(object, "metadata", "name");
  if (number < nodePortRange.first || number > nodePortRange.last)
    throw invalidObject(service, name, [
      invalid(
        field,
        number,
        `provided port is not in the valid range. The range of valid ports is ${nodePortRange.first}-${nodePortRange.last}`,
      ),
    ]);
  const holder = addresses.holderOfPort(`${protocol}/${number}`);
  if (holder !== undefined && holder !== key)
    throw invalidObject(service, name, [invalid(field, number, "provided port is already allocated")]);
}
