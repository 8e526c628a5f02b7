import type { Client } from "@cortado/client";
import { done, startLoop, type Outcome } from "@cortado/client/loop";
import { keyOf } from "@cortado/client/informer";
import type { Ingress, Service } from "@cortado/kinds";
import { ingresses, services } from "@cortado/kinds/resources";
import type { ServicesPorts } from "../services/services.ts";

export type AddressesOptions = {
  readonly nodeIps: () => readonly string[];
  readonly isOurs: (ingress: Ingress) => boolean;
};

/** Writes where a LoadBalancer service and an Ingress are reached: at the node, as K3s' ServiceLB does. */
export function startAddresses(
  options: AddressesOptions,
  ports: ServicesPorts & { readonly client: Client },
): void {
  const { client, objects, signal } = ports;
  const reconcileService = async (key: string): Promise<Outcome> => {
    const service = objects.service(key);
    if (service === undefined || service.metadata.deletionTimestamp !== undefined) return done;
    const wanted = balancerAddresses(service, options.nodeIps());
    if (wanted === undefined || sameIps(service.status?.loadBalancer?.ingress, wanted)) return done;
    const body = {
      metadata: { uid: service.metadata.uid },
      status: {
        loadBalancer: { ingress: wanted.length === 0 ? null : wanted.map((ip) => ({ ip, ipMode: "VIP" })) },
      },
    };
    await client.patch(services, { ...where(service), type: "merge", subresource: "status", body, signal });
    return done;
  };
  const reconcileIngress = async (key: string): Promise<Outcome> => {
    const ingress = objects.ingresses().find((one) => keyOf(one) === key);
    if (
      ingress === undefined ||
      !options.isOurs(ingress) ||
      sameIps(ingress.status?.loadBalancer?.ingress, options.nodeIps())
    )
      return done;
    const body = {
      metadata: { uid: ingress.metadata.uid },
      status: { loadBalancer: { ingress: options.nodeIps().map((ip) => ({ ip })) } },
    };
    await client.patch(ingresses, { ...where(ingress), type: "merge", subresource: "status", body, signal });
    return done;
  };
  const keysOfServices = (): string[] => objects.services().map(keyOf);
  const keysOfIngresses = (): string[] => objects.ingresses().map(keyOf);
  const serviceLoop = startLoop({
    name: "service_lb",
    reconcile: reconcileService,
    keys: keysOfServices,
    ...ports,
  });
  const ingressLoop = startLoop({
    name: "ingress_address",
    reconcile: reconcileIngress,
    keys: keysOfIngresses,
    ...ports,
  });
  objects.onServices(() => {
    for (const service of objects.services())
      if (needsAddress(service, options.nodeIps())) serviceLoop.add(keyOf(service));
  });
  objects.onIngresses(() => {
    for (const key of keysOfIngresses()) ingressLoop.add(key);
  });
}

function needsAddress(service: Service, nodeIps: readonly string[]): boolean {
  const wanted = balancerAddresses(service, nodeIps);
  return wanted !== undefined && !sameIps(service.status?.loadBalancer?.ingress, wanted);
}

/** The addresses to write; none for a service that no longer is a balancer; undefined when it is not ours. */
export function balancerAddresses(
  service: Service,
  nodeIps: readonly string[],
): readonly string[] | undefined {
  const isBalancer = service.spec?.type === "LoadBalancer";
  if (isBalancer) return service.spec?.loadBalancerClass === undefined ? nodeIps : undefined;
  return (service.status?.loadBalancer?.ingress ?? []).length > 0 ? [] : undefined;
}

function sameIps(
  written: readonly { readonly ip?: string }[] | undefined,
  wanted: readonly string[],
): boolean {
  const ips = (written ?? []).map((one) => one.ip);
  return ips.length === wanted.length && wanted.every((ip, at) => ips[at] === ip);
}

function where(object: { readonly metadata: { readonly name: string; readonly namespace?: string } }): {
  readonly name: string;
  readonly namespace: string;
} {
  return { name: object.metadata.name, namespace: object.metadata.namespace ?? "" };
}
