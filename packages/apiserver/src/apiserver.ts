import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Histogram, Metrics } from "@cortado/std/metrics";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { Store } from "@cortado/store";
import { builtInKinds, metricsKinds } from "@cortado/kinds/built-in";
import { ownDefinitions } from "@cortado/kinds/custom";
import type { CustomResourceDefinition } from "@cortado/kinds";
import type { Tree } from "@cortado/kinds/tree";
import {
  defaultTolerations,
  defaultIngressClass,
  defaultStorageClass,
  limitRanger,
  priorityAdmission,
} from "./admission/pod-defaults.ts";
import { definitionAdmission } from "./admission/definitions.ts";
import { escalationCheck } from "./admission/escalation.ts";
import { nodeRestriction } from "./admission/node-restriction.ts";
import { namespaceLifecycle } from "./admission/namespace-lifecycle.ts";
import { quotaAdmission } from "./admission/quota.ts";
import { withoutEffectStep } from "./admission/without-effect.ts";
import { readPool, ServiceAddresses, serviceAllocation } from "./admission/service-addresses.ts";
import { serviceAccountAdmission } from "./admission/service-account.ts";
import type { ApiRequest, ApiResponse, User } from "./api.ts";
import { impersonate } from "./authn/impersonation.ts";
import { ServiceAccountTokens, type ServiceAccountKeys } from "./authn/service-account-tokens.ts";
import { tokenReader } from "./authn/token-reader.ts";
import { decide } from "./authz/decide.ts";
import { RolePolicy } from "./authz/rbac.ts";
import type { AccessQuestion, Authorizer, Decision } from "./authz/question.ts";
import { bootstrap } from "./bootstrap/bootstrap.ts";
import type { ServiceNetwork } from "./bootstrap/objects.ts";
import { isEstablished, kindsOf } from "./crd/definition.ts";
import { allow, questionOf, serveResource, type DispatchTools } from "./dispatch.ts";
import { expireEvents } from "./event-expiry.ts";
import { KindTable } from "./kind-table.ts";
import { REQUESTS_MAX, RETRY_AFTER_S, WATCHES_MAX } from "./limits.ts";
import type { HealthCheck, NodeStreams, StreamTarget, TokenReader, UsageSource, View } from "./ports.ts";
import { readRequestInfo, type RequestInfo } from "./request-info.ts";
import { errorResponse } from "./respond.ts";
import type { Server } from "./server.ts";
import { servePath } from "./paths.ts";
import { follow } from "./storage/follow.ts";
import { writeOwnStatus, type OwnStatus } from "./storage/own-status.ts";
import { withViews } from "./storage/views.ts";
import { targetOf } from "./subresources/streams.ts";
import { OpenApiDocuments } from "./openapi/documents.ts";

export type ApiServerOptions = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** K3s's defaults: 10.43.0.0/16, 10.43.0.1 and the port that the server listens on. */
  readonly serviceNetwork: ServiceNetwork;
  /** Addresses in the service network that are not given to others: DNS at 10.43.0.10. */
  readonly reservedAddresses?: readonly string[];
  /** Keys for service account tokens; without them TokenRequest answers 503. */
  readonly serviceAccountKeys?: ServiceAccountKeys;
  /** Asked for bearer tokens that are no service account's. */
  readonly readToken?: TokenReader;
  /** Asked before RBAC; undefined: RBAC alone. What it allows is allowed. */
  readonly authorizer?: Authorizer;
  /** More checks for /healthz, /livez and /readyz; they count from the first answer. */
  readonly healthChecks?: readonly HealthCheck[];
  readonly streams?: NodeStreams;
  readonly usage?: UsageSource;
  /** More definitions that this server begins with: a hub's kinds. */
  readonly definitions?: readonly CustomResourceDefinition[];
  /** Kinds whose objects are computed; a definition must serve them. */
  readonly views?: readonly View[];
};

export interface ApiServer extends AsyncDisposable {
  /** Serves one request; never throws: what goes wrong is an answer too. */
  handle(request: ApiRequest): Promise<ApiResponse>;
  /** Who sends this bearer token. @throws StatusError "Unauthorized" */
  authenticate(token: string): Promise<User>;
  /** Checks an upgrade (exec, attach, portforward) and says whom it reaches. @throws StatusError */
  admitUpgrade(request: ApiRequest): Promise<StreamTarget>;
  /** Sets what reaches into pods, where the node starts after the server. */
  setStreams(streams: NodeStreams): void;
  /** Sets what measures pods and nodes, and serves metrics.k8s.io from then on. */
  setUsage(usage: UsageSource): void;
  readonly streams: NodeStreams | undefined;
  /** For a part of this process that alone owns the status of a kind. @throws StatusError "NotFound" */
  writeOwnStatus(own: OwnStatus): Promise<void>;
}

const verbs: ReadonlySet<string> = new Set(
  "get list watch create update patch delete deletecollection".split(" "),
);

export const anonymous: User = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** Makes an API server over a store; when it resolves, the first objects are there and requests may come. */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const server = new GenericServer(options);
  await server.start();
  return server;
}

class GenericServer implements ApiServer {
  readonly #options: ApiServerOptions;
  readonly #stopping = new AbortController();
  readonly #policy = new RolePolicy();
  readonly #server: Server;
  readonly #tokens: ServiceAccountTokens | undefined;
  readonly #checks: readonly HealthCheck[];
  readonly #addresses: ServiceAddresses;
  readonly #documents: OpenApiDocuments;
  readonly #seconds: Histogram;
  readonly #readToken: TokenReader;
  #streams: NodeStreams | undefined;
  #usage: UsageSource | undefined;
  #events: Disposable | undefined;
  #isReady = false;
  #inWork = 0;
  #watches = 0;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const { clock, random, log, serviceNetwork } = options;
    const store = withViews(options.store, options.views ?? []);
    this.#addresses = new ServiceAddresses(readPool(serviceNetwork.cidr), options.reservedAddresses ?? []);
    this.#tokens =
      options.serviceAccountKeys === undefined
        ? undefined
        : new ServiceAccountTokens(options.serviceAccountKeys, { clock, random });
    this.#streams = options.streams;
    const kinds = new KindTable(builtInKinds);
    const own = (): Server => this.#server;
    this.#server = {
      store,
      clock,
      random,
      log,
      kinds,
      authorize: this.#authorize,
      admission: [
        namespaceLifecycle(own),
        serviceAccountAdmission(own),
        limitRanger(own),
        priorityAdmission(own),
        defaultTolerations,
        defaultStorageClass(own),
        defaultIngressClass(own),
        serviceAllocation(own, this.#addresses),
        definitionAdmission(own),
        escalationCheck(this.#policy),
        nodeRestriction,
        quotaAdmission(own),
        withoutEffectStep,
      ],
    };
    this.#readToken = tokenReader({ server: this.#server, tokens: this.#tokens, others: options.readToken });
    this.#documents = new OpenApiDocuments(kinds);
    this.#checks = [
      { name: "ping", of: ["live", "ready"], check: () => undefined },
      {
        name: "poststarthook/rbac/bootstrap-roles",
        of: ["ready"],
        check: () => (this.#isReady ? undefined : "not finished"),
      },
      ...(options.healthChecks ?? []),
    ];
    this.#seconds = options.metrics.histogram("apiserver_request_duration_seconds", {
      help: "Response latency distribution in seconds for each verb, group, version, resource, subresource, scope and component.",
      labels: ["verb", "code"],
      buckets: [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 5, 10, 30, 60],
    });
    this.#declareGauges(options.metrics);
    if (options.usage !== undefined) this.setUsage(options.usage);
  }

  #declareGauges(metrics: Metrics): void {
    const inflight = metrics.gauge("apiserver_current_inflight_requests", {
      help: "Maximal number of currently used inflight request limit of this apiserver.",
      labels: ["request_kind"],
    });
    const longRunning = metrics.gauge("apiserver_longrunning_requests", {
      help: "Gauge of all active long-running apiserver requests.",
      labels: ["verb"],
    });
    metrics.beforeText(() => {
      inflight.set(this.#inWork, { request_kind: "all" });
      longRunning.set(this.#watches, { verb: "WATCH" });
    });
  }

  get streams(): NodeStreams | undefined {
    return this.#streams;
  }

  async start(): Promise<void> {
    const { store, clock, log } = this.#options;
    const following = { store, clock, log, signal: this.#stopping.signal };
    await follow(following, {
      prefix: "/registry/rbac.authorization.k8s.io/",
      put: (key, object) => this.#policy.put(key, object),
      gone: (key) => this.#policy.gone(key),
    });
    await follow(following, {
      prefix: "/registry/core/services/",
      put: (key, object) => this.#addresses.put(key, object),
      gone: (key) => this.#addresses.gone(key),
    });
    await follow(following, {
      prefix: "/registry/apiextensions.k8s.io/customresourcedefinitions/",
      put: (key, object) => this.#define(key, object),
      gone: (key) => this.#server.kinds.define(key, []),
    });
    await bootstrap({
      handle: (request) => this.handle(request),
      network: this.#options.serviceNetwork,
      definitions: [...ownDefinitions, ...(this.#options.definitions ?? [])] as unknown as readonly Tree[],
      signal: this.#stopping.signal,
    });
    this.#events = expireEvents({ store, clock, log });
    this.#isReady = true;
  }

  #define(key: string, definition: Tree): void {
    this.#server.kinds.define(key, isEstablished(definition) ? kindsOf(definition) : []);
  }

  readonly #authorize = (question: AccessQuestion): Promise<Decision> =>
    decide(question, { first: this.#options.authorizer, policy: this.#policy, server: this.#server });

  writeOwnStatus(own: OwnStatus): Promise<void> {
    return writeOwnStatus(this.#server, own);
  }

  setStreams(streams: NodeStreams): void {
    this.#streams = streams;
  }

  setUsage(usage: UsageSource): void {
    this.#usage = usage;
    this.#server.kinds.define("metrics.k8s.io", metricsKinds);
  }

  async authenticate(token: string): Promise<User> {
    const user = await this.#readToken(token, { audiences: [] });
    if (user === undefined) throw new StatusError("Unauthorized", "Unauthorized");
    return user;
  }

  async handle(request: ApiRequest): Promise<ApiResponse> {
    const startMs = this.#options.clock.monotonicMs();
    let verb = "other";
    let response: ApiResponse;
    try {
      const read = this.#read(request);
      verb = read.info.verb;
      response =
        verb === "watch" && read.info.isResource ? await this.#watched(read) : await this.#limited(read);
    } catch (error) {
      if (!(error instanceof StatusError))
        this.#options.log.error("a request failed inside", {
          path: request.path,
          method: request.method,
          error,
        });
      response = errorResponse(request, error);
    }
    const known = verbs.has(verb) ? verb : "other";
    this.#seconds.observe((this.#options.clock.monotonicMs() - startMs) / 1_000, {
      verb: known.toUpperCase(),
      code: String(response.status),
    });
    return response;
  }

  #read(request: ApiRequest): Read {
    const query =
      request.query instanceof URLSearchParams ? request.query : new URLSearchParams(request.query ?? {});
    const path = request.path.replace(/\/{2,}/g, "/");
    return { request: { ...request, path }, query, info: readRequestInfo(request.method, path, query) };
  }

  async #limited(read: Read): Promise<ApiResponse> {
    if (this.#inWork >= REQUESTS_MAX) throw tooMany("too many requests are in work; please try again later");
    this.#inWork += 1;
    try {
      return await this.#serve(read);
    } finally {
      this.#inWork -= 1;
    }
  }

  // A watch counts for as long as it is read.
  async #watched(read: Read): Promise<ApiResponse> {
    if (this.#watches >= WATCHES_MAX) throw tooMany("too many watches are open; please try again later");
    this.#watches += 1;
    const { signal } = read.request;
    let isOpen = true;
    const done = (): void => {
      if (isOpen) this.#watches -= 1;
      isOpen = false;
      signal.removeEventListener("abort", done);
    };
    // A client may leave before it reads at all, so the end of the request counts as the end of the watch too.
    signal.addEventListener("abort", done, { once: true });
    try {
      const response = await this.#serve(read);
      if (response.body.kind === "pieces")
        return { ...response, body: { kind: "pieces", pieces: untilEnd(response.body.pieces, done) } };
      if (response.body.kind === "watch")
        return { ...response, body: { kind: "watch", events: untilEnd(response.body.events, done) } };
      done();
      return response;
    } catch (error) {
      done();
      throw error;
    }
  }

  async #serve({ request, info, query }: Read): Promise<ApiResponse> {
    const user = await impersonate(request.user, request.headers ?? {}, this.#authorize);
    await allow(this.#server, { ...questionOf(info, user), fieldSelector: query.get("fieldSelector") ?? "" });
    if (info.isResource)
      return serveResource({ server: this.#server, request, info, query, user, tools: this.#tools() });
    return servePath({
      request,
      query,
      kinds: this.#server.kinds,
      checks: this.#checks,
      tokens: this.#tokens,
      documents: this.#documents,
      given: this.#options,
    });
  }

  #tools(): DispatchTools {
    return {
      policy: this.#policy,
      readToken: this.#readToken,
      tokens: this.#tokens,
      streams: this.#streams,
      usage: this.#usage,
    };
  }

  async admitUpgrade(request: ApiRequest): Promise<StreamTarget> {
    const { info, query } = this.#read(request);
    const user = await impersonate(request.user, request.headers ?? {}, this.#authorize);
    // Starting something in a pod is a creation, whichever method carries it.
    await allow(
      this.#server,
      questionOf({ ...info, verb: info.subresource === "proxy" ? info.verb : "create" }, user),
    );
    const kind = this.#server.kinds.find(info);
    if (kind === undefined || !kind.subresources.some((one) => one.name === info.subresource))
      throw new StatusError("NotFound", "the server could not find the requested resource");
    if (this.#streams === undefined)
      throw new StatusError(
        "ServiceUnavailable",
        `no node on this server serves ${info.plural}/${info.subresource}`,
      );
    return targetOf({
      server: this.#server,
      request,
      info,
      query,
      kind,
      user,
      signal: request.signal,
      warnings: [],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#events?.[Symbol.dispose]();
    this.#stopping.abort();
    await Promise.resolve();
  }
}

type Read = { readonly request: ApiRequest; readonly query: URLSearchParams; readonly info: RequestInfo };

function tooMany(message: string): StatusError {
  return new StatusError("TooManyRequests", message, { details: { retryAfterSeconds: RETRY_AFTER_S } });
}

async function* untilEnd<Item>(
  items: AsyncIterable<Item>,
  done: () => void,
): AsyncGenerator<Item, void, void> {
  try {
    yield* items;
  } finally {
    done();
  }
}
