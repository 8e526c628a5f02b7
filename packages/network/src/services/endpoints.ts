import type { EndpointSlice, Service, ServicePort } from "@cortado/kinds";

/** One place where a service's port is answered. */
export type Target = {
  readonly ip: string;
  readonly port: number;
  readonly nodeName: string | undefined;
  readonly hostname: string | undefined;
};

export const serviceNameLabel = "kubernetes.io/service-name";

/** "NAMESPACE/NAME" of the service that a slice belongs to. */
export function sliceService(slice: EndpointSlice): string {
  return `${slice.metadata?.namespace ?? ""}/${slice.metadata?.labels?.[serviceNameLabel] ?? ""}`;
}

/**
 * Where a port of a service is answered: ready endpoints, or, when there is none, those that still serve while they end. In a fixed order.
 */
export function targetsOf(
  port: Pick<ServicePort, "name" | "protocol">,
  slices: readonly EndpointSlice[],
): readonly Target[] {
  const ready = new Map<string, Target>();
  const ending = new Map<string, Target>();
  for (const slice of slices) {
    if (slice.addressType !== "IPv4") continue;
    const found = (slice.ports ?? []).find(
      (one) => (one.name ?? "") === (port.name ?? "") && (one.protocol ?? "TCP") === (port.protocol ?? "TCP"),
    );
    if (found?.port === undefined || found.port === null) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const conditions = endpoint.conditions ?? {};
      const into =
        conditions.ready !== false
          ? ready
          : conditions.serving === true && conditions.terminating === true
            ? ending
            : undefined;
      for (const ip of endpoint.addresses ?? [])
        into?.set(`${ip}:${found.port}`, {
          ip,
          port: found.port,
          nodeName: endpoint.nodeName,
          hostname: endpoint.hostname,
        });
    }
  }
  const chosen = ready.size > 0 ? ready : ending;
  return [...chosen.keys()].toSorted().map((key) => chosen.get(key) as Target);
}

export function isHeadless(service: Service): boolean {
  return service.spec?.clusterIP === "None";
}
