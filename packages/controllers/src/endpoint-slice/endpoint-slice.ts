import type { Stored } from "@cortado/client";
import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { EndpointSlice, Endpoints, Pod, Service } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";
import { endpoints, endpointSlices } from "@cortado/kinds/resources";
import { byController, byNamespace } from "../caches.ts";
import type { Context } from "../context.ts";
import { controllerReference } from "../owned/owned.ts";
import { canonical } from "../owned/template.ts";
import { keysOf, wakeOwners } from "../owned/wake.ts";
import { planSlices, type SlicePlan } from "./plan.ts";

const kind = { apiVersion: "v1", kind: "Service" };
const managedBy = "endpointslice-controller.k8s.io";

/** Writes EndpointSlices, and Endpoints for older clients, of services with a selector. */
export function startEndpointSliceLoop(context: Context): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "endpoint_slice",
    metrics: context.loopMetrics,
    workers: 3,
    keys: () => keysOf(caches.services),
    reconcile: (key) => reconcile(key, context),
  });
  caches.services.subscribe(({ key }) => loop.add(key));
  wakeOwners(caches.endpointSlices, kind.kind, loop);
  caches.pods.subscribe(({ old, now }) => {
    if (old !== undefined && now !== undefined && footprint(old) === footprint(now)) return;
    for (const service of caches.services.byIndex(byNamespace, (now ?? old)?.metadata.namespace ?? ""))
      if ([old, now].some((pod) => pod !== undefined && isSelected(service, pod)))
        loop.add(serviceKey(service));
  });
  return loop;
}

/** What of a pod its endpoints depend on. */
function footprint(pod: Stored<Pod>): string {
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready")?.status;
  const { labels, deletionTimestamp } = pod.metadata;
  return canonical([
    labels,
    deletionTimestamp,
    pod.status?.podIP,
    pod.status?.phase,
    ready,
    pod.spec?.nodeName,
  ]);
}

function serviceKey(service: Service): string {
  return `${service.metadata.namespace}/${service.metadata.name}`;
}

function isSelected(service: Service, pod: Pod): boolean {
  const selector = service.spec?.selector;
  if (selector === undefined || Object.keys(selector).length === 0) return false;
  return selects({ matchLabels: selector }, pod.metadata.labels);
}

async function reconcile(key: string, context: Context): Promise<Outcome> {
  const service = context.caches.services.get(key);
  if (service === undefined || service.spec?.type === "ExternalName") return done;
  if (Object.keys(service.spec?.selector ?? {}).length === 0) return done;
  const { namespace = "default" } = service.metadata;
  const pods = context.caches.pods.byIndex(byNamespace, namespace).filter((pod) => isSelected(service, pod));
  const plans = planSlices(service, pods);
  await writeSlices(service, plans, context);
  await writeEndpoints(service, plans, context);
  return done;
}

async function writeSlices(
  service: Stored<Service>,
  plans: readonly SlicePlan[],
  context: Context,
): Promise<void> {
  const { caches, client, signal } = context;
  const { namespace = "default" } = service.metadata;
  const have = caches.endpointSlices
    .byIndex(byController, service.metadata.uid)
    .toSorted((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1));
  // A service whose pods are all gone keeps one empty slice, so that "no endpoints" is said and not guessed.
  const wanted = plans.length > 0 ? plans : [{ ports: have[0]?.ports ?? [], endpoints: [] }];
  for (const [at, plan] of wanted.entries()) {
    const slice = have[at];
    const body = { endpoints: [...plan.endpoints], ports: [...plan.ports] };
    if (slice === undefined) await createSlice(service, body, context);
    else if (
      canonical([slice.endpoints ?? [], slice.ports ?? []]) !== canonical([body.endpoints, body.ports])
    )
      await client.patch(endpointSlices, {
        name: slice.metadata.name,
        namespace,
        type: "merge",
        body,
        signal,
      });
  }
  for (const { metadata } of have.slice(wanted.length))
    await client.delete(endpointSlices, { name: metadata.name, namespace, signal });
}

async function createSlice(
  service: Stored<Service>,
  body: Pick<EndpointSlice, "endpoints" | "ports">,
  { caches, client, signal }: Context,
): Promise<void> {
  const { namespace = "default", name } = service.metadata;
  const headless = service.spec?.clusterIP === "None" ? { "service.kubernetes.io/headless": "" } : {};
  const labels = {
    ...service.metadata.labels,
    "kubernetes.io/service-name": name,
    "endpointslice.kubernetes.io/managed-by": managedBy,
    ...headless,
  };
  const metadata = {
    generateName: `${name}-`,
    namespace,
    labels,
    ownerReferences: [controllerReference(service, kind)],
  };
  const made = await client.create(endpointSlices, { metadata, addressType: "IPv4", ...body }, { signal });
  await caches.endpointSlices.seen(made.metadata.resourceVersion);
}

async function writeEndpoints(
  service: Stored<Service>,
  plans: readonly SlicePlan[],
  context: Context,
): Promise<void> {
  const { caches, client, signal } = context;
  const { namespace = "default", name } = service.metadata;
  const subsets = plans.flatMap(toSubset);
  const found = caches.endpoints.get(`${namespace}/${name}`);
  if (found === undefined) {
    const labels = {
      ...service.metadata.labels,
      "endpoints.kubernetes.io/managed-by": "endpoint-controller",
    };
    await client.create(endpoints, { metadata: { name, namespace, labels }, subsets }, { signal });
  } else if (canonical(found.subsets ?? []) !== canonical(subsets))
    await client.patch(endpoints, { name, namespace, type: "merge", body: { subsets }, signal });
}

function toSubset({ ports, endpoints: all }: SlicePlan): NonNullable<Endpoints["subsets"]> {
  const address = ({ addresses, targetRef, nodeName, hostname }: (typeof all)[number]) => ({
    ip: addresses[0] ?? "",
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(hostname === undefined ? {} : { hostname }),
  });
  const ready = all.filter(({ conditions }) => conditions?.ready === true).map(address);
  const waiting = all
    .filter(({ conditions }) => conditions?.ready !== true && conditions?.terminating !== true)
    .map(address);
  if (ready.length + waiting.length === 0) return [];
  return [
    {
      ...(ready.length > 0 ? { addresses: ready } : {}),
      ...(waiting.length > 0 ? { notReadyAddresses: waiting } : {}),
      ports: ports.map(({ name, ...port }) => (name === "" ? port : { name, ...port })) as never,
    },
  ];
}
