import { StatusError } from "@cortado/std/status";
import type { ApiRequest, ApiResponse, User } from "./api.ts";
import { refusalText, type AccessQuestion } from "./authz/question.ts";
import { methodNotAllowed, unknownPath } from "./errors.ts";
import type { RequestInfo } from "./request-info.ts";
import { renderOutcome } from "./render/render.ts";
import type { Call, Server } from "./server.ts";
import { bindPod, evictPod } from "./subresources/pods.ts";
import { answerReview, type ReviewTools } from "./subresources/reviews.ts";
import { serveScale } from "./subresources/scale.ts";
import { requestToken } from "./subresources/token.ts";
import type { ServiceAccountTokens } from "./authn/service-account-tokens.ts";
import { createOne } from "./verbs/create.ts";
import { deleteMany, deleteOne } from "./verbs/delete.ts";
import type { Outcome } from "./verbs/outcome.ts";
import { patchOne } from "./verbs/patch.ts";
import { getOne, listMany } from "./verbs/read.ts";
import { updateOne } from "./verbs/update.ts";
import { watchMany } from "./verbs/watch.ts";
import { serveUsage } from "./metrics-api.ts";
import type { NodeStreams, UsageSource } from "./ports.ts";
import { serveStream } from "./subresources/streams.ts";
import { jsonResponse } from "./respond.ts";

export type DispatchTools = ReviewTools & {
  readonly tokens: ServiceAccountTokens | undefined;
  readonly streams: NodeStreams | undefined;
  readonly usage: UsageSource | undefined;
};

/** @throws StatusError "Forbidden" */
export async function allow(server: Server, question: AccessQuestion): Promise<void> {
  const decision = await server.authorize(question);
  if (decision.allowed) return;
  const details = {
    ...(question.group === "" ? {} : { group: question.group }),
    kind: question.resource,
    ...(question.name === "" ? {} : { name: question.name }),
  };
  const subject =
    question.path === undefined
      ? `${question.group === "" ? question.resource : `${question.resource}.${question.group}`}${question.name === "" ? "" : ` ${JSON.stringify(question.name)}`} is forbidden: `
      : "forbidden: ";
  throw new StatusError("Forbidden", subject + refusalText(question), {
    details: question.path === undefined ? details : {},
  });
}

export function questionOf(info: RequestInfo, user: User): AccessQuestion {
  const base = { user, verb: info.verb, version: info.version };
  if (!info.isResource)
    return { ...base, group: "", resource: "", subresource: "", namespace: "", name: "", path: info.path };
  return {
    ...base,
    group: info.group,
    resource: info.plural,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
  };
}

type Dispatching = {
  readonly server: Server;
  readonly request: ApiRequest;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly tools: DispatchTools;
};

/** Serves a request about a resource that was allowed. */
export async function serveResource({
  server,
  request,
  info,
  query,
  user,
  tools,
}: Dispatching): Promise<ApiResponse> {
  const kind = server.kinds.find(info);
  if (kind === undefined) throw unknownPath();
  const call: Call = { server, request, info, query, kind, user, signal: request.signal, warnings: [] };
  checkPlace(call);
  checkDryRun(query);
  if (kind.group === "metrics.k8s.io") return serveMeasured(call, tools);
  if (tools.streams !== undefined && streamed.has(`${info.plural}/${info.subresource}`))
    return serveStream(call, tools.streams);
  const outcome = await serveVerb(call, tools);
  const response = await renderOutcome(call, outcome);
  return call.warnings.length === 0 ? response : { ...response, warnings: call.warnings };
}

const streamed = new Set([
  "pods/log",
  "pods/exec",
  "pods/attach",
  "pods/portforward",
  "pods/proxy",
  "services/proxy",
  "nodes/proxy",
]);

async function serveMeasured(call: Call, tools: DispatchTools): Promise<ApiResponse> {
  if (tools.usage === undefined)
    throw new StatusError("ServiceUnavailable", "nothing measures pods and nodes on this server");
  return jsonResponse(call.request, await serveUsage(call, tools.usage));
}

function checkPlace({ kind, info }: Call): void {
  const isWide = !kind.namespaced && info.namespace !== "" && kind.kind !== "Namespace";
  if (isWide) throw unknownPath();
  const needsNamespace =
    kind.namespaced && info.namespace === "" && !["list", "watch", "deletecollection"].includes(info.verb);
  if (needsNamespace && info.verb !== "create") throw unknownPath();
  if (needsNamespace)
    throw new StatusError("BadRequest", "an empty namespace may not be set during creation");
}

function checkDryRun(query: URLSearchParams): void {
  const wrong = query.getAll("dryRun").find((one) => one !== "All");
  if (wrong !== undefined)
    throw new StatusError(
      "BadRequest",
      `dryRun: Unsupported value: ${JSON.stringify(wrong)}: supported values: "All"`,
    );
}

async function serveVerb(call: Call, tools: DispatchTools): Promise<Outcome> {
  const { info, kind } = call;
  if (info.subresource !== "") return serveSubresource(call, tools);
  if (!kind.verbs.includes(info.verb)) throw methodNotAllowed();
  if (kind.group === "" && kind.kind === "Binding") return bindPod(call);
  if (reviewGroups.has(kind.group)) return answerReview(call, tools);
  const handler = verbs[info.verb];
  if (handler === undefined) throw methodNotAllowed();
  return handler(call);
}

const reviewGroups = new Set(["authentication.k8s.io", "authorization.k8s.io"]);

const verbs: Readonly<Record<string, (call: Call) => Promise<Outcome>>> = {
  get: getOne,
  list: listMany,
  watch: watchMany,
  create: createOne,
  update: updateOne,
  patch: patchOne,
  delete: deleteOne,
  deletecollection: deleteMany,
};

async function serveSubresource(call: Call, tools: DispatchTools): Promise<Outcome> {
  const { info, kind } = call;
  const known = kind.subresources.find((one) => one.name === info.subresource);
  if (known === undefined || info.name === "") throw unknownPath();
  if (!known.verbs.includes(info.verb)) throw methodNotAllowed();
  const handler = subresources[`${info.subresource}`];
  if (handler !== undefined) return handler(call, tools);
  if (streamed.has(`${kind.plural}/${info.subresource}`))
    throw new StatusError(
      "ServiceUnavailable",
      `no node on this server serves ${kind.plural}/${info.subresource}`,
    );
  return serveKindPart(call);
}

/** A part that has the kind's own form: status, finalize, approval, ephemeralcontainers, resize. */
function serveKindPart(call: Call): Promise<Outcome> {
  if (call.info.verb === "get") return getOne(call);
  // Said here, as who waits for a container that no node starts would wait for ever.
  if (call.info.subresource === "ephemeralcontainers")
    throw new StatusError(
      "NotImplemented",
      "ephemeral containers are not served yet; use kubectl exec, or kubectl debug with --copy-to",
    );
  return call.info.verb === "patch" ? patchOne(call) : updateOne(call);
}

const subresources: Readonly<Record<string, (call: Call, tools: DispatchTools) => Promise<Outcome>>> = {
  scale: serveScale,
  binding: bindPod,
  eviction: evictPod,
  token(call, { tokens }) {
    if (tokens === undefined)
      throw new StatusError(
        "ServiceUnavailable",
        "this server was started without a key for service account tokens",
      );
    return requestToken(call, tokens);
  },
};
