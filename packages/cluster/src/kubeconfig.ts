import type { KeyPair } from "./certificates/issue.ts";

export type KubeconfigOptions = {
  /** Cluster, user and context are all named so; K3s says "default". */
  readonly name: string;
  /** Such as "https://127.0.0.1:6443". */
  readonly server: string;
  readonly serverCa: string;
  readonly admin: KeyPair;
};

/** A kubeconfig with one cluster and its administrator, as JSON, which is YAML. */
export function kubeconfig(options: KubeconfigOptions): string {
  return hubKubeconfig(options, []);
}

/** The same, and beside it further servers that the same administrator reaches, each with a context of its name. */
export function hubKubeconfig(
  { name, server, serverCa, admin }: KubeconfigOptions,
  others: readonly { readonly name: string; readonly server: string }[],
): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    clusters: [{ name, server }, ...others].map((one) => ({
      name: one.name,
      cluster: { server: one.server, "certificate-authority-data": base64(serverCa) },
    })),
    users: [
      { name, user: { "client-certificate-data": base64(admin.cert), "client-key-data": base64(admin.key) } },
    ],
    contexts: [{ name }, ...others].map((one) => ({
      name: one.name,
      context: { cluster: one.name, user: name },
    })),
    preferences: {},
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}
