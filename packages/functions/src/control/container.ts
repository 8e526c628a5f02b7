import type { Client, Stored } from "@cortado/client";
import type { Informer } from "@cortado/client/informer";
import type { EndpointSlice, FunctionResource } from "@cortado/kinds";
import { deployments, services } from "@cortado/kinds/resources";
import { StatusError } from "@cortado/std/status";
import type { Definition } from "../definition.ts";
import type { SendHttp } from "../http-sender.ts";
import type { Answer, Call } from "../runtime/interpreter.ts";

/** The watchdog's port in every container function. */
const WATCHDOG_PORT = 8_080;
const serviceLabel = "kubernetes.io/service-name";

type Writing = {
  readonly object: Stored<FunctionResource>;
  readonly client: Client;
  readonly signal: AbortSignal;
};

/** A function by image is a Deployment and a Service of its name, owned by the Function; both go with it. */
export async function writeContainer(
  definition: Definition,
  { object, client, signal }: Writing,
): Promise<void> {
  const { name, namespace, least } = definition;
  const owner = {
    apiVersion: "openfaas.com/v1",
    kind: "Function",
    name,
    uid: object.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
  const labels = { ...object.spec.labels, faas_function: name };
  const metadata = { name, namespace, labels, ownerReferences: [owner] };
  const pod = podSpec(definition, object.spec);
  const selector = { faas_function: name };
  const apply = {
    name,
    namespace,
    type: "apply",
    force: true,
    fieldManager: "cortado-functions",
    signal,
  } as const;
  await client.patch(deployments, {
    ...apply,
    body: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: least,
        selector: { matchLabels: selector },
        template: { metadata: { labels }, spec: pod },
      },
    },
  });
  await client.patch(services, {
    ...apply,
    body: {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        selector,
        ports: [{ name: "http", port: WATCHDOG_PORT, targetPort: WATCHDOG_PORT, protocol: "TCP" }],
      },
    },
  });
}

/** What runs in the function's pods. */
function podSpec({ name, namespace, image }: Definition, spec: FunctionResource["spec"]) {
  const { limits, requests, readOnlyRootFilesystem } = spec;
  const environment = { ...spec.environment, OPENFAAS_NAME: name, OPENFAAS_NAMESPACE: namespace };
  const handler = spec.handler === undefined ? {} : { fprocess: spec.handler };
  const env = Object.entries({ ...environment, ...handler }).map(([key, value]) => ({ name: key, value }));
  const container = {
    name,
    image,
    imagePullPolicy: image.startsWith("cortado.local/") ? "IfNotPresent" : "Always",
    ports: [{ name: "http", containerPort: WATCHDOG_PORT, protocol: "TCP" }],
    env,
    resources: {
      ...(limits === undefined ? {} : { limits }),
      ...(requests === undefined ? {} : { requests }),
    },
    readinessProbe: { httpGet: { path: "/_/health", port: WATCHDOG_PORT }, periodSeconds: 2 },
    securityContext: {
      allowPrivilegeEscalation: false,
      ...(readOnlyRootFilesystem === undefined ? {} : { readOnlyRootFilesystem }),
    },
    ...(readOnlyRootFilesystem === true ? { volumeMounts: [{ name: "tmp", mountPath: "/tmp" }] } : {}),
  };
  return {
    containers: [container],
    ...(readOnlyRootFilesystem === true ? { volumes: [{ name: "tmp", emptyDir: {} }] } : {}),
  };
}

export type ContainerFunctionOptions = {
  readonly definition: Definition;
  readonly slices: Informer<EndpointSlice>;
  readonly send: SendHttp;
};

let turn = 0;

/** Calls go straight to a ready endpoint of the function's Service. */
export class ContainerFunction {
  readonly #options: ContainerFunctionOptions;

  constructor(options: ContainerFunctionOptions) {
    this.#options = options;
  }

  async call(
    { method, path, query, headers, body }: Call,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Answer> {
    const { definition, slices, send } = this.#options;
    const { name, namespace } = definition;
    const addresses = readyAddresses(slices, { name, namespace });
    if (addresses.length === 0)
      throw new StatusError(
        "ServiceUnavailable",
        `function ${name}.${namespace} has no ready pod; see kubectl -n ${namespace} get pods -l faas_function=${name}`,
      );
    turn += 1;
    const text = new URLSearchParams(query).toString();
    const url = `http://${addresses[turn % addresses.length]}:${WATCHDOG_PORT}${path}${text === "" ? "" : `?${text}`}`;
    return send({ url, method, headers, body, timeoutMs, signal });
  }
}

type Named = { readonly name: string; readonly namespace: string };

function readyAddresses(slices: Informer<EndpointSlice>, { name, namespace }: Named): readonly string[] {
  const found: string[] = [];
  for (const { metadata, endpoints = [] } of slices.list())
    if (metadata.namespace === namespace && metadata.labels?.[serviceLabel] === name)
      for (const { conditions, addresses } of endpoints ?? [])
        if (conditions?.ready !== false) found.push(...addresses);
  return found;
}

/** The URL with a ready endpoint of the Service that it names in place of its host; undefined when it names none. */
export function readyUrl(url: string, slices: Informer<EndpointSlice>): string | undefined {
  const parsed = URL.parse(url);
  const [name, namespace, svc] = parsed?.hostname.split(".") ?? [];
  if (
    parsed === null ||
    name === undefined ||
    namespace === undefined ||
    (svc !== undefined && svc !== "svc")
  )
    return undefined;
  for (const { metadata, endpoints = [], ports = [] } of slices.list()) {
    if (metadata.namespace !== namespace || metadata.labels?.[serviceLabel] !== name) continue;
    const ready = (endpoints ?? []).find(({ conditions }) => conditions?.ready !== false);
    const [address] = ready?.addresses ?? [];
    if (address === undefined) continue;
    parsed.hostname = address;
    // A Service's port may differ from its pods': with one port there is nothing to choose.
    parsed.port = String(ports?.length === 1 ? (ports[0]?.port ?? parsed.port) : parsed.port);
    return parsed.toString();
  }
  return undefined;
}
