import type { Tree } from "@cortado/kinds/tree";

/** Upstream's default roles as far as a store needs them (kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy). */
type RoleRow = {
  readonly name: string;
  readonly rules: readonly Tree[];
  readonly labels?: Tree;
  readonly aggregate?: string;
};

const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];
const all = [...read, ...write];

function on(apiGroups: string, resources: string, verbs: readonly string[]): Tree {
  return { apiGroups: apiGroups.split(","), resources: resources.split(","), verbs: [...verbs] };
}

function paths(...urls: readonly string[]): Tree {
  return { nonResourceURLs: [...urls], verbs: ["get"] };
}

const coreNamespaced =
  "configmaps,endpoints,persistentvolumeclaims,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services";
// Contents hold what secrets became, and tokens are secrets: neither is for whoever only looks.
const fleetSources = "bundlenamespacemappings,bundles,gitrepos,helmops,imagescans,schedules";
const fleetRows = "bundledeployments";
const viewRules = [
  on(
    "",
    `${coreNamespaced},persistentvolumeclaims/status,pods/log,pods/status,services/status,bindings,events,limitranges,namespaces/status,resourcequotas,resourcequotas/status,namespaces`,
    read,
  ),
  on(
    "apps",
    "controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status",
    read,
  ),
  on("batch", "cronjobs,cronjobs/status,jobs,jobs/status", read),
  on("autoscaling", "horizontalpodautoscalers,horizontalpodautoscalers/status", read),
  on("policy", "poddisruptionbudgets,poddisruptionbudgets/status", read),
  on("networking.k8s.io", "ingresses,ingresses/status,networkpolicies", read),
  on("discovery.k8s.io", "endpointslices", read),
  on("metrics.k8s.io", "pods,nodes", read),
  on("openfaas.com", "functions,functions/status", read),
  on("functions.cortado.dev", "deadletters", read),
  on("telemetry.cortado.dev", "alerts", read),
  on("fleet.cattle.io", `${fleetSources},${fleetRows},clusters,clustergroups`, read),
  on("fleet.cattle.io", "bundles/status,clusters/status,clustergroups/status,gitrepos/status", read),
];
const editRules = [
  on("", "pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy", read),
  on("", "serviceaccounts", ["impersonate"]),
  on("", "pods,pods/attach,pods/exec,pods/portforward,pods/proxy", write),
  on("", "pods/eviction,serviceaccounts/token", ["create"]),
  on(
    "",
    "configmaps,events,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy",
    write,
  ),
  on(
    "apps",
    "daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale",
    write,
  ),
  on("batch", "cronjobs,jobs", write),
  on("autoscaling", "horizontalpodautoscalers", write),
  on("policy", "poddisruptionbudgets", write),
  on("networking.k8s.io", "ingresses,networkpolicies", write),
  on("coordination.k8s.io", "leases", all),
  on("openfaas.com", "functions", write),
  on("functions.cortado.dev", "deadletters", write),
  on("telemetry.cortado.dev", "alerts", write),
  on("fleet.cattle.io", `${fleetSources},clustergroups`, write),
  on("fleet.cattle.io", fleetRows, ["patch", "update"]),
];
const adminRules = [
  on("fleet.cattle.io", "clusters,clusterregistrations,clusterregistrationtokens", all),
  on("fleet.cattle.io", "gitreporestrictions,policies", all),
  on("authorization.k8s.io", "localsubjectaccessreviews", ["create"]),
  on("rbac.authorization.k8s.io", "rolebindings,roles", all),
];

const nodeRules = [
  on("authentication.k8s.io", "tokenreviews", ["create"]),
  on("authorization.k8s.io", "localsubjectaccessreviews,subjectaccessreviews", ["create"]),
  on("", "services", read),
  on("", "nodes", ["create", ...read, "patch", "update", "delete"]),
  on("", "nodes/status", ["patch", "update"]),
  on("", "events", ["create", "patch", "update"]),
  on("", "pods", [...read, "create", "delete"]),
  on("", "pods/status", ["patch", "update"]),
  on("", "pods/eviction", ["create"]),
  on("", "configmaps,secrets,persistentvolumeclaims,persistentvolumes,endpoints", read),
  on("", "persistentvolumeclaims/status", ["get", "patch", "update"]),
  on("", "serviceaccounts/token", ["create"]),
  on("", "serviceaccounts", ["get"]),
  on("certificates.k8s.io", "certificatesigningrequests", ["create", ...read]),
  on("coordination.k8s.io", "leases", ["create", "delete", "get", "patch", "update"]),
  on("storage.k8s.io", "csinodes,volumeattachments,csidrivers,storageclasses", [
    "create",
    "delete",
    ...read,
    "patch",
    "update",
  ]),
  on("node.k8s.io", "runtimeclasses", read),
  on("discovery.k8s.io", "endpointslices", read),
];

const schedulerRules = [
  on("events.k8s.io,", "events", ["create", "patch", "update"]),
  on("coordination.k8s.io", "leases", ["create", "get", "list", "update", "watch", "patch"]),
  on("", "nodes,persistentvolumeclaims,persistentvolumes,services,replicationcontrollers,namespaces", read),
  on("", "pods", ["delete", ...read]),
  on("", "bindings,pods/binding", ["create"]),
  on("", "pods/status", ["patch", "update"]),
  on("apps", "replicasets,statefulsets", read),
  on("policy", "poddisruptionbudgets", read),
  on("scheduling.k8s.io", "priorityclasses", read),
  on("storage.k8s.io", "csidrivers,csinodes,csistoragecapacities,storageclasses,volumeattachments", read),
];

const roles: readonly RoleRow[] = [
  { name: "cluster-admin", rules: [on("*", "*", ["*"]), { nonResourceURLs: ["*"], verbs: ["*"] }] },
  { name: "admin", rules: [...adminRules, ...editRules, ...viewRules], aggregate: "admin" },
  {
    name: "edit",
    rules: [...editRules, ...viewRules],
    aggregate: "edit",
    labels: { "rbac.authorization.k8s.io/aggregate-to-admin": "true" },
  },
  {
    name: "view",
    rules: viewRules,
    aggregate: "view",
    labels: { "rbac.authorization.k8s.io/aggregate-to-edit": "true" },
  },
  {
    name: "system:discovery",
    rules: [
      paths(
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
      ),
    ],
  },
  {
    name: "system:monitoring",
    rules: [
      paths(
        "/healthz",
        "/healthz/*",
        "/livez",
        "/livez/*",
        "/metrics",
        "/metrics/slis",
        "/readyz",
        "/readyz/*",
      ),
    ],
  },
  {
    name: "system:public-info-viewer",
    rules: [paths("/healthz", "/livez", "/readyz", "/version", "/version/")],
  },
  {
    name: "system:service-account-issuer-discovery",
    rules: [
      paths(
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/",
        "/openid/v1/jwks",
        "/openid/v1/jwks/",
      ),
    ],
  },
  {
    name: "system:basic-user",
    rules: [
      on("authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews", ["create"]),
      on("authentication.k8s.io", "selfsubjectreviews", ["create"]),
    ],
  },
  { name: "system:node", rules: nodeRules },
  { name: "system:kube-scheduler", rules: schedulerRules },
  // Our loops live in one process and share one identity, where upstream gives each a service account of its own.
  {
    name: "system:kube-controller-manager",
    rules: [on("*", "*", ["*"]), { nonResourceURLs: ["*"], verbs: ["get"] }],
  },
  {
    name: "system:node-proxier",
    rules: [
      on("", "endpoints,services,nodes,namespaces,pods", read),
      on("discovery.k8s.io", "endpointslices", read),
      on("networking.k8s.io", "networkpolicies,ingresses,ingressclasses,servicecidrs", read),
      on("events.k8s.io,", "events", ["create", "patch", "update"]),
    ],
  },
  {
    name: "system:auth-delegator",
    rules: [
      on("authentication.k8s.io", "tokenreviews", ["create"]),
      on("authorization.k8s.io", "subjectaccessreviews", ["create"]),
    ],
  },
  { name: "system:aggregated-metrics-reader", rules: [on("metrics.k8s.io", "pods,nodes", read)] },
];

type BindingRow = {
  readonly name: string;
  readonly groups?: readonly string[];
  readonly users?: readonly string[];
  readonly role?: string;
};

const bindings: readonly BindingRow[] = [
  { name: "cluster-admin", groups: ["system:masters"] },
  { name: "system:discovery", groups: ["system:authenticated"] },
  { name: "system:basic-user", groups: ["system:authenticated"] },
  { name: "system:public-info-viewer", groups: ["system:authenticated", "system:unauthenticated"] },
  { name: "system:monitoring", groups: ["system:monitoring"] },
  { name: "system:service-account-issuer-discovery", groups: ["system:serviceaccounts"] },
  // Upstream's too has no subjects: what a node may, the node authorizer says.
  { name: "system:node" },
  { name: "system:kube-scheduler", users: ["system:kube-scheduler"] },
  { name: "system:kube-controller-manager", users: ["system:kube-controller-manager"] },
  { name: "system:node-proxier", users: ["system:kube-proxy"] },
];

const rbacVersion = "rbac.authorization.k8s.io/v1";
const notes = { "rbac.authorization.kubernetes.io/autoupdate": "true" };
const bootLabels = { "kubernetes.io/bootstrapping": "rbac-defaults" };

/** The cluster roles and bindings that every store begins with. */
export function defaultPolicy(): readonly Tree[] {
  const made: Tree[] = roles.map(({ name, rules, labels = {}, aggregate }) => ({
    apiVersion: rbacVersion,
    kind: "ClusterRole",
    metadata: { name, labels: { ...bootLabels, ...labels }, annotations: notes },
    ...(aggregate === undefined
      ? {}
      : {
          aggregationRule: {
            clusterRoleSelectors: [
              { matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${aggregate}`]: "true" } },
            ],
          },
        }),
    rules,
  }));
  for (const { name, groups = [], users = [], role = name } of bindings)
    made.push({
      apiVersion: rbacVersion,
      kind: "ClusterRoleBinding",
      metadata: { name, labels: bootLabels, annotations: notes },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
      subjects: [
        ...groups.map((group) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group })),
        ...users.map((user) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user })),
      ],
    });
  return made;
}
