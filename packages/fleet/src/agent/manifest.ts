import type { Tree } from "@cortado/kinds/tree";
import { yamlText } from "@cortado/wire/yaml";
import { AGENT_NAMESPACE, MADE_ANNOTATION } from "./apply/marks.ts";
import { AGENT_NAME } from "./uninstall.ts";

export type ManifestOptions = {
  readonly image: string;
  readonly hub: string;
  readonly token: string;
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly proxy?: string;
  readonly namespace?: string;
  /** Where and how its pod runs, in the words of a PodSpec; `env` and `resources` are its container's. */
  readonly pod?: {
    readonly env?: readonly Tree[];
    readonly resources?: Tree;
    readonly tolerations?: readonly Tree[];
    readonly affinity?: Tree;
    readonly imagePullSecrets?: readonly Tree[];
    readonly hostNetwork?: boolean;
  };
};

const account = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The agent as a Deployment of any Kubernetes, as `kubectl apply -f -` takes it: one pod, which is never two at a time. */
export function agentManifest(options: ManifestOptions): string {
  return agentObjects(options)
    .map((one) => `---\n${yamlText(one)}`)
    .join("");
}

/** The same as objects, in the order in which they are applied. */
export function agentObjects(options: ManifestOptions): readonly Tree[] {
  const { token, namespace = AGENT_NAMESPACE } = options;
  const own = { name: AGENT_NAME, namespace };
  const marks = { "app.kubernetes.io/name": AGENT_NAME };
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace, annotations: { [MADE_ANNOTATION]: "true" } },
    },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { ...own, labels: marks } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: AGENT_NAME, labels: marks },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", ...own }],
    },
    { apiVersion: "v1", kind: "Secret", metadata: { ...own, labels: marks }, stringData: { token } },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { ...own, labels: marks },
      data: { "kubeconfig.yaml": yamlText(kubeconfig) },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { ...own, labels: marks },
      spec: {
        replicas: 1,
        // Two agents of one key would be taken for a copied store.
        strategy: { type: "Recreate" },
        selector: { matchLabels: marks },
        template: { metadata: { labels: marks }, spec: podOf(options, namespace) },
      },
    },
  ];
}

/** The cluster that the pod is in, by the account of the pod. */
const kubeconfig: Tree = {
  apiVersion: "v1",
  kind: "Config",
  "current-context": "here",
  clusters: [
    {
      name: "here",
      cluster: { server: "https://kubernetes.default.svc", "certificate-authority": `${account}/ca.crt` },
    },
  ],
  users: [{ name: "agent", user: { tokenFile: `${account}/token` } }],
  contexts: [{ name: "here", context: { cluster: "here", user: "agent" } }],
};

function podOf({ image, hub, name, labels, proxy, pod = {} }: ManifestOptions, namespace: string): Tree {
  const { env = [], resources, ...placed } = pod;
  const words = [
    "fleet",
    "agent",
    ...["--kubeconfig", "/etc/cortado/kubeconfig.yaml"],
    ...["--hub", hub, "--hub-token", "$(HUB_TOKEN)", "--data-dir", "/data", "--namespace", namespace],
    ...(name === undefined ? [] : ["--name", name]),
    ...(proxy === undefined ? [] : ["--hub-proxy", proxy]),
    ...Object.entries(labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]),
  ];
  const container = {
    name: "agent",
    image,
    command: ["cortado"],
    args: words,
    env: [{ name: "HUB_TOKEN", valueFrom: { secretKeyRef: { name: AGENT_NAME, key: "token" } } }, ...env],
    resources: resources ?? { requests: { cpu: "10m", memory: "96Mi" }, limits: { memory: "512Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: 65_532,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "config", mountPath: "/etc/cortado" },
      { name: "data", mountPath: "/data" },
    ],
  };
  return {
    ...placed,
    serviceAccountName: AGENT_NAME,
    containers: [container],
    securityContext: { fsGroup: 65_532 },
    volumes: [
      { name: "config", configMap: { name: AGENT_NAME } },
      { name: "data", emptyDir: { sizeLimit: "1Gi" } },
    ],
  };
}
