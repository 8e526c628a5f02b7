import { fieldOf, sameTree, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { nodeOf } from "../authz/node-authorizer.ts";
import { forbiddenObject } from "../errors.ts";
import type { Admission, AdmissionStep } from "../server.ts";

/** What a node writes is about itself (kubernetes, plugin/pkg/admission/noderestriction). Names in a body are looked at here, others by the authorizer. */
export const nodeRestriction: AdmissionStep = {
  name: "NodeRestriction",
  validate(admission) {
    const { call, kind, operation, subresource } = admission;
    const node = nodeOf(call.user);
    if (node === undefined) return;
    if (kind.kind === "Lease" && operation === "CREATE") checkName(admission, node);
    if (kind.kind !== "Node" || kind.group !== "" || subresource !== "") return;
    if (operation === "CREATE") checkName(admission, node);
    if (operation === "CREATE" || operation === "UPDATE") checkNode(admission, node);
  },
};

function checkName(admission: Admission, node: string): void {
  if (textAt(admission.object, "metadata", "name") !== node)
    refuse(admission, `node ${JSON.stringify(node)} writes its own objects only`);
}

function checkNode(admission: Admission, node: string): void {
  const { object, current } = admission;
  const labels = (tree: Tree | undefined): Tree => treeAt(tree, "metadata", "labels");
  const [before, after] = [labels(current), labels(object)];
  const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => before[key] !== after[key])
    .filter((key) => !isOwnLabel(key));
  if (changed.length > 0)
    refuse(
      admission,
      `node ${JSON.stringify(node)} may not set the labels ${changed.toSorted().join(", ")} of itself`,
    );
  if (
    !sameTree(
      fieldOf(treeAt(object, "metadata"), "ownerReferences"),
      fieldOf(treeAt(current, "metadata"), "ownerReferences"),
    )
  )
    refuse(admission, `node ${JSON.stringify(node)} may not change its owners`);
  // At its creation it may say with which taints it begins; its addresses for pods the server gives out.
  const { taints: _taints, ...created } = treeAt(object, "spec");
  const isChanged =
    current === undefined
      ? Object.keys(created).length > 0
      : !sameTree(treeAt(object, "spec"), treeAt(current, "spec"));
  if (isChanged)
    refuse(admission, `node ${JSON.stringify(node)} may not write the spec of itself; others do`);
}

/** Labels under Kubernetes' own names that a node may give itself; all that are nobody's it may too. */
function isOwnLabel(key: string): boolean {
  const domain = key.includes("/") ? (key.split("/")[0] ?? "") : "";
  const isKubernetes = /(^|\.)(kubernetes|k8s)\.io$/.test(domain);
  if (!isKubernetes) return true;
  if (/(^|\.)(kubelet|node)\.kubernetes\.io$/.test(domain)) return true;
  return ownLabels.has(key);
}

const ownLabels: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/arch",
  "kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/instance-type",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
]);

function refuse({ kind, name }: Admission, why: string): never {
  throw forbiddenObject({ ...kind, name }, why);
}
