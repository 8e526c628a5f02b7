import {
  fieldOf,
  growTree,
  listAt,
  setDefault,
  setField,
  textAt,
  treeAt,
  type Tree,
} from "@cortado/kinds/tree";
import { forbiddenObject } from "../errors.ts";
import type { AdmissionStep, Server } from "../server.ts";
import { readObject } from "../storage/records.ts";
import { nameSuffix } from "@cortado/std/random";

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Upstream's projected token lives an hour and a bit, so that clients that ignore renewal are noticed late. */
const tokenSeconds = 3607;

/** Each pod runs as a service account, whose token it finds in a projected volume (kubernetes, plugin/pkg/admission/serviceaccount). */
export function serviceAccountAdmission(server: () => Server): AdmissionStep {
  return {
    name: "ServiceAccount",
    async mutate({ operation, kind, object, namespace, subresource, name }) {
      if (
        operation !== "CREATE" ||
        kind.group !== "" ||
        kind.kind !== "Pod" ||
        subresource !== "" ||
        object === undefined
      )
        return;
      if (treeAt(object, "metadata", "annotations")["kubernetes.io/config.mirror"] !== undefined) return;
      const spec = growTree(object, "spec");
      setDefault(spec, "serviceAccountName", "default");
      if (textAt(spec, "serviceAccountName") === "") setField(spec, "serviceAccountName", "default");
      const account = textAt(spec, "serviceAccountName");
      setField(spec, "serviceAccount", account);
      const accounts = server().kinds.find({ group: "", version: "v1", plural: "serviceaccounts" });
      if (accounts === undefined) return;
      const found = await readObject(server().store, accounts, { namespace, name: account });
      if (found === undefined)
        throw forbiddenObject(
          { ...kind, name },
          `error looking up service account ${namespace}/${account}: serviceaccount ${JSON.stringify(account)} not found`,
        );
      const wants =
        fieldOf(spec, "automountServiceAccountToken") ??
        fieldOf(found, "automountServiceAccountToken") ??
        true;
      if (wants === true) mountToken(spec, `kube-api-access-${nameSuffix(server().random)}`);
      if (listAt(spec, "imagePullSecrets").length === 0 && listAt(found, "imagePullSecrets").length > 0)
        setField(spec, "imagePullSecrets", structuredClone(listAt(found, "imagePullSecrets")));
    },
  };
}

function mountToken(spec: Tree, volumeName: string): void {
  let isUsed = false;
  for (const list of ["initContainers", "containers"])
    for (const container of listAt(spec, list) as readonly Tree[]) {
      const mounts = listAt(container, "volumeMounts");
      if (mounts.some((mount) => textAt(mount, "mountPath") === mountPath)) continue;
      setField(container, "volumeMounts", [...mounts, { mountPath, name: volumeName, readOnly: true }]);
      isUsed = true;
    }
  if (!isUsed) return;
  const sources = [
    { serviceAccountToken: { expirationSeconds: tokenSeconds, path: "token" } },
    { configMap: { items: [{ key: "ca.crt", path: "ca.crt" }], name: "kube-root-ca.crt" } },
    {
      downwardAPI: {
        items: [{ fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" }, path: "namespace" }],
      },
    },
  ];
  setField(spec, "volumes", [
    ...listAt(spec, "volumes"),
    { name: volumeName, projected: { defaultMode: 420, sources } },
  ]);
}
