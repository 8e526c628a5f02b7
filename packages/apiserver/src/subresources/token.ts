import { toTime } from "@cortado/std/clock";
import { invalid, invalidObject } from "@cortado/kinds/field-errors";
import { at, setField, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { accountOf, nodeOf } from "../authz/node-authorizer.ts";
import { conflict, forbiddenObject, notFound } from "../errors.ts";
import type { BoundTo, ServiceAccountTokens } from "../authn/service-account-tokens.ts";
import type { Call } from "../server.ts";
import { readObject } from "../storage/records.ts";
import { readBody } from "../verbs/body.ts";
import type { Outcome } from "../verbs/outcome.ts";
import { asTexts } from "./texts.ts";

/** Upstream's bounds of a token's life (kubernetes, pkg/apis/authentication/validation). */
const secondsMin = 600;
const secondsMax = 2 ** 32;

/** `serviceaccounts/token`: a token for an account, bound to a pod, node or secret when asked. */
export async function requestToken(call: Call, tokens: ServiceAccountTokens): Promise<Outcome> {
  const { value } = readBody(call, { takesProtobuf: true });
  const account = await readObject(call.server.store, call.kind, call.info);
  if (account === undefined) throw notFound({ ...call.kind, name: call.info.name });
  const spec = treeAt(value, "spec");
  const seconds = typeof spec["expirationSeconds"] === "number" ? spec["expirationSeconds"] : 3600;
  const refuse = (why: string): never => {
    throw invalidObject({ group: "authentication.k8s.io", kind: "TokenRequest" }, "", [
      invalid("spec.expirationSeconds", seconds, why),
    ]);
  };
  if (seconds < secondsMin) refuse("may not specify a duration less than 10 minutes");
  if (seconds > secondsMax) refuse("may not specify a duration larger than 2^32 seconds");
  const bound = await readBound(call, treeAt(spec, "boundObjectRef"));
  checkNode(call, bound);
  const audiences = asTexts(spec["audiences"]);
  const signed = await tokens.sign({
    namespace: call.info.namespace,
    account: call.info.name,
    accountUid: textAt(account, "metadata", "uid"),
    boundTo: bound?.boundTo,
    node: bound?.node,
    audiences,
    seconds,
  });
  const review: Tree = {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: {
      name: call.info.name,
      namespace: call.info.namespace,
      creationTimestamp: toTime(call.server.clock.nowMs()),
    },
    spec: {
      ...spec,
      audiences: audiences.length === 0 ? [...tokens.audiences] : audiences,
      expirationSeconds: seconds,
    },
    status: { token: signed.token, expirationTimestamp: toTime(signed.expiresMs) },
  };
  setField(review, "status", review["status"]);
  return { kind: "object", code: 201, object: review, of: { ...call.kind, table: undefined } };
}

/** A node asks for tokens of its own pods, each as the account that its pod has. */
function checkNode({ user, info }: Call, bound: Bound | undefined): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  if (bound?.boundTo.kind === "pod" && bound.node?.name === node && bound.account === info.name) return;
  throw forbiddenObject(
    { group: "", plural: "serviceaccounts", name: info.name },
    `node ${JSON.stringify(node)} may have tokens only for pods that are bound to it, and of their account`,
  );
}

const boundPlurals: Readonly<Record<string, string>> = { Pod: "pods", Secret: "secrets", Node: "nodes" };

type Bound = {
  readonly boundTo: BoundTo;
  readonly node: { readonly name: string; readonly uid: string } | undefined;
  /** Of a pod: whom it runs as. */
  readonly account: string | undefined;
};

async function readBound(call: Call, ref: Tree): Promise<Bound | undefined> {
  const kind = textAt(ref, "kind");
  if (kind === "") return undefined;
  const name = textAt(ref, "name");
  const plural = boundPlurals[kind];
  const info =
    plural === undefined ? undefined : call.server.kinds.find({ group: "", version: "v1", plural });
  if (info === undefined || plural === undefined)
    throw invalidObject({ group: "authentication.k8s.io", kind: "TokenRequest" }, "", [
      invalid(
        "spec.boundObjectRef",
        kind,
        `cannot bind token for serviceaccount ${JSON.stringify(call.info.name)} to object type ${kind}`,
      ),
    ]);
  const found = await readObject(call.server.store, info, {
    namespace: info.namespaced ? call.info.namespace : "",
    name,
  });
  if (found === undefined) throw notFound({ group: "", plural, name });
  const uid = textAt(found, "metadata", "uid");
  const wanted = textAt(ref, "uid");
  if (wanted !== "" && wanted !== uid)
    throw conflict(
      { group: "", plural, name },
      `the UID in the bound object reference (${wanted}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  const nodeName = kind === "Pod" ? textAt(found, "spec", "nodeName") : "";
  const nodes = call.server.kinds.find({ group: "", version: "v1", plural: "nodes" });
  const node =
    nodeName === "" || nodes === undefined
      ? undefined
      : await readObject(call.server.store, nodes, { namespace: "", name: nodeName });
  return {
    boundTo: { kind: kind.toLowerCase(), name, uid },
    account: kind === "Pod" ? accountOf(found) : undefined,
    node: node === undefined ? undefined : { name: nodeName, uid: String(at(node, "metadata", "uid") ?? "") },
  };
}
