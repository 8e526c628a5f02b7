import { StatusError } from "@cortado/std/status";
import { decodeMessage, readEnvelope } from "@cortado/wire/protobuf";
import { messageOf, schemaOf } from "@cortado/kinds/generated-schemas";
import { schemaName } from "@cortado/kinds/kind-info";
import { isTree, setField, type Tree } from "@cortado/kinds/tree";
import { fieldSchema, follow, type Schema } from "@cortado/kinds/schema";

const metaKinds = new Set([
  "DeleteOptions",
  "Status",
  "CreateOptions",
  "UpdateOptions",
  "PatchOptions",
  "ListOptions",
]);

/** A protobuf body as the JSON that it stands for. @throws StatusError "BadRequest", "UnsupportedMediaType" */
export function decodeProtobufBody(body: Uint8Array): Tree {
  const { apiVersion, kind, raw } = readEnvelope(body);
  const [first = "", second] = apiVersion.split("/");
  const group = second === undefined ? "" : first;
  const version = second ?? first;
  const name = metaKinds.has(kind)
    ? `io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`
    : schemaName({ group, version, kind });
  if (messageOf(name) === undefined)
    throw new StatusError(
      "UnsupportedMediaType",
      `${kind} in ${apiVersion} has no protobuf form here; send JSON`,
    );
  const object = decodeMessage(raw, name, messageOf);
  dropZeros(object, schemaOf(name));
  setField(object, "apiVersion", apiVersion);
  setField(object, "kind", kind);
  return object;
}

// Go writes every plain field into protobuf, zeros and all, and leaves the same zeros out of JSON. Only what is a pointer in Go may
// mean its zero, and the descriptors do not say which that is; these are the ones that clients set to zero on purpose.
const meantZeros = new Set(
  (
    "replicas runAsUser runAsGroup fsGroup terminationGracePeriodSeconds activeDeadlineSeconds backoffLimit backoffLimitPerIndex parallelism completions " +
    "ttlSecondsAfterFinished tolerationSeconds partition revisionHistoryLimit progressDeadlineSeconds successfulJobsHistoryLimit failedJobsHistoryLimit " +
    "startingDeadlineSeconds minReplicas expirationSeconds gracePeriodSeconds priority automountServiceAccountToken allowPrivilegeEscalation enableServiceLinks " +
    "runAsNonRoot readOnlyRootFilesystem privileged suspend allocateLoadBalancerNodePorts controller blockOwnerDeletion optional immutable " +
    "shareProcessNamespace hostUsers setHostnameAsFQDN manualSelector orphanDependents ready serving terminating allowVolumeExpansion storageClassName " +
    "volumeAttributesClassName started defaultMode mode"
  ).split(" "),
);

function dropZeros(tree: Tree, schema: Schema | undefined): void {
  for (const key of Object.keys(tree)) {
    const value = tree[key];
    const below = follow(fieldSchema(schema, key), schemaOf);
    const isField = schema?.properties !== undefined && Object.hasOwn(schema.properties, key);
    const isZero = value === "" || value === 0 || value === false || value === null;
    if (isField && isZero && !meantZeros.has(key) && schema.required?.includes(key) !== true)
      delete tree[key];
    else if (isTree(value)) dropZeros(value, below);
    else if (Array.isArray(value))
      for (const item of value) if (isTree(item)) dropZeros(item, follow(below?.items, schemaOf));
  }
}
