import { at, listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import type { User } from "../api.ts";
import type { Server } from "../server.ts";
import { objectOf, prefixOf, readObject, storedOf } from "../storage/records.ts";
import type { AccessQuestion } from "./question.ts";

const group = "system:nodes";
const prefix = "system:node:";

/** The node whose agent asks; undefined: no node, or one that is an administrator as well (the server's own). */
export function nodeOf({ name, groups }: User): string | undefined {
  const isNode = groups.includes(group) && name.startsWith(prefix) && !groups.includes("system:masters");
  return isNode ? name.slice(prefix.length) : undefined;
}

/**
 * A user without what the group of nodes is granted by roles: a node may only what the rules below say. Upstream's binding for the
 * group has no subjects; one that an earlier start of a store made had them.
 */
export function withoutNodeGroup(user: User): User {
  if (!user.groups.includes(group) || user.groups.includes("system:masters")) return user;
  return { ...user, groups: user.groups.filter((one) => one !== group) };
}

type Asked = { readonly node: string; readonly question: AccessQuestion; readonly server: Server };
type Rule = (asked: Asked) => boolean | Promise<boolean>;

const always: Rule = () => true;
const isOwnNode: Rule = ({ node, question }) => question.name === node;
const isOwnLease: Rule = ({ node, question }) =>
  question.namespace === "kube-node-lease" && question.name === node;
// Whose it is a creation says in its body: admission looks there.
const isLeaseNamespace: Rule = ({ question }) => question.namespace === "kube-node-lease";
const asksForOwnPods: Rule = ({ node, question }) =>
  (question.fieldSelector ?? "").split(",").includes(`spec.nodeName=${node}`);

const isOwnPod: Rule = async ({ node, question, server }) => {
  const pods = kindOf(server, "pods");
  const pod = pods && (await readObject(server.store, pods, question));
  return textAt(pod, "spec", "nodeName") === node;
};

/** Is something in this namespace used by a pod of the node? */
const isUsed =
  (uses: (pod: Tree, name: string) => boolean): Rule =>
  async ({ node, question, server }) => {
    const pods = await podsOf(node, question.namespace, server);
    return pods.some((pod) => uses(pod, question.name));
  };

const isUsedVolume: Rule = async ({ node, question, server }) => {
  const volumes = kindOf(server, "persistentvolumes");
  const volume = volumes && (await readObject(server.store, volumes, { namespace: "", name: question.name }));
  const namespace = textAt(volume, "spec", "claimRef", "namespace");
  const name = textAt(volume, "spec", "claimRef", "name");
  if (namespace === "" || name === "") return false;
  return (await podsOf(node, namespace, server)).some((pod) => usesClaim(pod, name));
};

/** What a node may do (kubernetes, plugin/pkg/auth/authorizer/node), by `VERB GROUP/RESOURCE`. */
const rules: Readonly<Record<string, Rule>> = {
  "create /nodes": always, // admission knows the name
  ...each("get,patch,update", "/nodes", isOwnNode),
  ...each("patch,update", "/nodes/status", isOwnNode),
  "create coordination.k8s.io/leases": isLeaseNamespace,
  ...each("get,patch,update,delete", "coordination.k8s.io/leases", isOwnLease),
  ...each("list,watch", "/pods", asksForOwnPods),
  ...each("get,delete", "/pods", isOwnPod),
  ...each("patch,update", "/pods/status", isOwnPod),
  "get /secrets": isUsed(usesSecret),
  "get /configmaps": isUsed(usesConfigMap),
  "get /persistentvolumeclaims": isUsed(usesClaim),
  "get /persistentvolumes": isUsedVolume,
  // For which pod a token is, its body says: requestToken looks there.
  "create /serviceaccounts/token": isUsed((pod, name) => accountOf(pod) === name),
  ...each("get,list,watch", "/services", always),
  ...each("create,patch,update", "/events", always),
  ...each("create,patch,update", "events.k8s.io/events", always),
};

function each(verbs: string, resource: string, rule: Rule): Readonly<Record<string, Rule>> {
  return Object.fromEntries(verbs.split(",").map((verb) => [`${verb} ${resource}`, rule]));
}

/** May this node do it, by being a node? */
export async function mayNode(asked: Asked): Promise<boolean> {
  const { verb, group: of, resource, subresource, path } = asked.question;
  if (path !== undefined) return false; // roles for everybody say so
  const rule = rules[`${verb} ${of}/${subresource === "" ? resource : `${resource}/${subresource}`}`];
  return (await rule?.(asked)) ?? false;
}

function kindOf(server: Server, plural: string): ReturnType<Server["kinds"]["find"]> {
  return server.kinds.find({ group: "", version: "v1", plural });
}

async function podsOf(node: string, namespace: string, server: Server): Promise<readonly Tree[]> {
  const kind = kindOf(server, "pods");
  if (kind === undefined || namespace === "") return [];
  const { items } = await server.store.list({ prefix: prefixOf(kind, namespace) });
  return items
    .map((item) => objectOf(storedOf(item), kind))
    .filter((pod) => textAt(pod, "spec", "nodeName") === node);
}

export function accountOf(pod: Tree): string {
  return textAt(pod, "spec", "serviceAccountName") || "default";
}

function usesSecret(pod: Tree, name: string): boolean {
  const isPull = listAt(pod, "spec", "imagePullSecrets").some((one) => textAt(one, "name") === name);
  return (
    isPull ||
    volumeSources(pod).some(
      (source) =>
        textAt(source, "secret", "secretName") === name || textAt(source, "secret", "name") === name,
    ) ||
    environmentOf(pod).some(
      (one) =>
        textAt(one, "valueFrom", "secretKeyRef", "name") === name ||
        textAt(one, "secretRef", "name") === name,
    )
  );
}

function usesConfigMap(pod: Tree, name: string): boolean {
  return (
    volumeSources(pod).some((source) => textAt(source, "configMap", "name") === name) ||
    environmentOf(pod).some(
      (one) =>
        textAt(one, "valueFrom", "configMapKeyRef", "name") === name ||
        textAt(one, "configMapRef", "name") === name,
    )
  );
}

function usesClaim(pod: Tree, name: string): boolean {
  return listAt(pod, "spec", "volumes").some(
    (volume) =>
      textAt(volume, "persistentVolumeClaim", "claimName") === name ||
      // The claim of an ephemeral volume is named after its pod and itself.
      (at(volume, "ephemeral") !== undefined &&
        `${textAt(pod, "metadata", "name")}-${textAt(volume, "name")}` === name),
  );
}

/** Volumes, and the parts of projected ones. */
function volumeSources(pod: Tree): readonly unknown[] {
  return listAt(pod, "spec", "volumes").flatMap((volume) => [
    volume,
    ...listAt(volume, "projected", "sources"),
  ]);
}

function environmentOf(pod: Tree): readonly unknown[] {
  const spec = treeAt(pod, "spec");
  return ["initContainers", "containers", "ephemeralContainers"]
    .flatMap((field) => listAt(spec, field))
    .flatMap((container) => [...listAt(container, "env"), ...listAt(container, "envFrom")]);
}
