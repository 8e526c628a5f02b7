import type { Client } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import { applyObject } from "./manifests.ts";

/** A port of this process that pods reach by the name of a Service. */
export type LocalService = {
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
};

/** Publishes ports of the node as Services without a selector, their endpoints being the node itself. */
export async function publishLocalServices(
  client: Client,
  options: {
    readonly services: readonly LocalService[];
    readonly apiPort: number;
    readonly address: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const namespaces = new Set(options.services.map(({ namespace }) => namespace));
  for (const name of namespaces) await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  for (const { name, namespace, ports } of options.services) {
    const numbered = ports.map((port) => ({ ...port, protocol: "TCP" }));
    await apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace },
      spec: { ports: numbered },
    });
    await applyEndpoints({ name, namespace, ports });
  }
  // The API server makes this Service itself; where it is reached only the program knows.
  await applyEndpoints({
    name: "kubernetes",
    namespace: "default",
    ports: [{ name: "https", port: options.apiPort }],
  });

  async function applyEndpoints({ name, namespace, ports }: LocalService): Promise<void> {
    const labels = {
      "kubernetes.io/service-name": name,
      "endpointslice.kubernetes.io/managed-by": "cortado",
    };
    const numbered = ports.map((port) => ({ ...port, protocol: "TCP" }));
    await apply({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-node`, namespace, labels },
      addressType: "IPv4",
      endpoints: [{ addresses: [options.address], conditions: { ready: true } }],
      ports: numbered,
    });
    await apply({
      apiVersion: "v1",
      kind: "Endpoints",
      metadata: { name, namespace },
      subsets: [{ addresses: [{ ip: options.address }], ports: numbered }],
    });
  }
  function apply(object: Readonly<Record<string, unknown>>): Promise<void> {
    return applyObject(client, object as unknown as KubeObject, options.signal);
  }
}
