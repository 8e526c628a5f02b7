import { createHash, timingSafeEqual } from "node:crypto";
import type { Client } from "@cortado/client";
import { functions as functionType, namespaces as namespaceType } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import {
  jsonAnswer,
  parseJson,
  textAnswer,
  type HttpAnswer,
  type HttpHandler,
  type HttpRequest,
} from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { StatusError, toStatusError } from "@cortado/std/status";
import type { Catalogue } from "../control/catalogue.ts";
import { annotationNames } from "../definition.ts";
import type { Invoker } from "../invoke.ts";
import { ASYNC_BODY_BYTES_MAX, CALL_BYTES_MAX, DEFAULT_NAMESPACE, DEFINITION_BYTES_MAX } from "../limits.ts";
import type { AsyncQueue } from "../queue/async-queue.ts";
import { decodeName, droppedHeaders, forwarded, splitName, type Where } from "./calling.ts";
import { logsAnswer } from "./logs.ts";
import { readDeployment, record, text, toStatus } from "./wire.ts";

export type GatewayOptions = {
  readonly catalogue: Catalogue;
  readonly invoker: Invoker;
  readonly queue: AsyncQueue;
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Guards /system; absent: open. */
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  readonly release: { readonly version: string; readonly commit: string };
};

type Route = {
  readonly method: string;
  readonly path: RegExp;
  readonly guarded: boolean;
  readonly handle: (request: HttpRequest, name: string) => Promise<HttpAnswer>;
};

const functionMethods = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);

/** OpenFaaS' gateway API over the Function objects of the API server. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #routes: readonly Route[];

  constructor(options: GatewayOptions) {
    this.#options = options;
    const guarded = (method: string, path: RegExp, handle: Route["handle"]): Route => ({
      method,
      path,
      guarded: true,
      handle,
    });
    this.#routes = [
      {
        method: "GET",
        path: /^\/healthz$/,
        guarded: false,
        handle: () => Promise.resolve(textAnswer(200, "OK")),
      },
      guarded("GET", /^\/system\/info$/, () => Promise.resolve(this.#info())),
      guarded("GET", /^\/system\/functions$/, (request) => Promise.resolve(this.#list(request))),
      guarded("POST", /^\/system\/functions$/, (request) => this.#create(request)),
      guarded("PUT", /^\/system\/functions$/, (request) => this.#update(request)),
      guarded("DELETE", /^\/system\/functions$/, (request) => this.#remove(request)),
      guarded("GET", /^\/system\/function\/([^/]+)$/, (request, name) =>
        Promise.resolve(this.#describe(request, name)),
      ),
      guarded("POST", /^\/system\/scale-function\/([^/]+)$/, (request, name) => this.#scale(request, name)),
      guarded("GET", /^\/system\/namespaces$/, (request) => this.#namespaces(request)),
      guarded("GET", /^\/system\/logs$/, (request) => Promise.resolve(this.#logs(request))),
    ];
  }

  /** `trusted`: a listener that only the machine's own people reach; it asks for no password. */
  handler({ trusted }: { readonly trusted: boolean }): HttpHandler {
    return async (request) => {
      try {
        return await this.#serve(request, trusted);
      } catch (error) {
        const status = toStatusError(error);
        if (status.reason === "InternalError")
          this.#options.log.error("gateway request failed", { path: request.path, error });
        const seconds = status.details?.retryAfterSeconds;
        const answer = textAnswer(status.code, `${status.message}\n`);
        return {
          ...answer,
          headers: {
            ...answer.headers,
            "x-openfaas-internal": "gateway",
            ...(seconds === undefined ? {} : { "retry-after": String(seconds) }),
          },
        };
      }
    };
  }

  async #serve(request: HttpRequest, trusted: boolean): Promise<HttpAnswer> {
    const called = /^\/(function|async-function)\/([^/]*)(\/.*)?$/.exec(request.path);
    if (called !== null) {
      const [, kind, name = "", path = "/"] = called;
      const where = splitName(decodeName(name));
      return kind === "function" ? this.#call(request, where, path) : this.#callLater(request, where, path);
    }
    if (/^\/(system|ui)\//.test(request.path) && !trusted && !this.#mayPass(request))
      return {
        ...textAnswer(401, "invalid credentials"),
        headers: { "content-type": "text/plain", "www-authenticate": 'Basic realm="Restricted"' },
      };
    if (
      /^\/system\/(secrets|namespace|alert|telemetry)/.test(request.path) &&
      request.path !== "/system/namespaces"
    )
      throw new StatusError(
        "NotImplemented",
        `${request.path} comes with a later release; keep settings in the function's environment`,
      );
    const known = this.#routes.filter(({ path }) => path.test(request.path));
    const route = known.find(
      ({ method }) => method === request.method || (method === "GET" && request.method === "HEAD"),
    );
    if (route !== undefined)
      return route.handle(request, decodeName(route.path.exec(request.path)?.[1] ?? ""));
    if (known.length > 0)
      throw new StatusError(
        "MethodNotAllowed",
        `${request.path} takes ${known.map(({ method }) => method).join(", ")}`,
      );
    throw new StatusError(
      "NotFound",
      `${request.path} is no path of this gateway; call functions at /function/NAME`,
    );
  }

  #mayPass({ headers }: HttpRequest): boolean {
    const { credentials } = this.#options;
    if (credentials === undefined) return true;
    const given = Buffer.from((headers["authorization"] ?? "").replace(/^Basic /i, ""), "base64").toString();
    const digest = (value: string): Buffer => createHash("sha256").update(value).digest();
    return timingSafeEqual(digest(given), digest(`${credentials.user}:${credentials.password}`));
  }

  async #call(request: HttpRequest, { name, namespace }: Where, path: string): Promise<HttpAnswer> {
    const { invoker, clock, random } = this.#options;
    if (!functionMethods.has(request.method))
      throw new StatusError("MethodNotAllowed", `functions do not take ${request.method}`);
    const callable = this.#mustFind({ name, namespace });
    const id = request.headers["x-call-id"] ?? random.uuid();
    const startNs = `${Math.floor(clock.nowMs())}000000`;
    const startMs = clock.monotonicMs();
    const body = await request.body({ bytesMax: CALL_BYTES_MAX });
    const headers = { ...forwarded(request), "x-call-id": id, "x-start-time": startNs };
    const topic = request.headers["x-topic"];
    const event = {
      id,
      method: request.method,
      path,
      query: Object.fromEntries(request.query),
      headers,
      body,
      atMs: clock.nowMs(),
      ...(topic === undefined ? {} : { topic }),
    };
    const timeout = Number(/^(\d+)s?$/.exec(request.headers["x-timeout"] ?? "")?.[1] ?? Number.NaN) * 1_000;
    const answer = await invoker.invoke(callable, event, {
      signal: request.signal,
      ...(timeout > 0 ? { timeoutMs: timeout } : {}),
    });
    const took = ((clock.monotonicMs() - startMs) / 1_000).toFixed(6);
    const type = answer.headers["content-type"] ?? request.headers["content-type"] ?? "text/plain";
    const plain = Object.fromEntries(
      Object.entries(answer.headers).filter(([header]) => !droppedHeaders.has(header)),
    );
    return {
      status: answer.status,
      headers: {
        ...plain,
        "content-type": type,
        "x-call-id": id,
        "x-start-time": startNs,
        "x-duration-seconds": took,
        "x-served-by": `cortado/${this.#options.release.version}`,
      },
      body: answer.body,
    };
  }

  async #callLater(request: HttpRequest, { name, namespace }: Where, path: string): Promise<HttpAnswer> {
    const { queue, clock, random } = this.#options;
    if (request.method !== "POST") throw new StatusError("MethodNotAllowed", "asynchronous calls are POSTs");
    this.#mustFind({ name, namespace });
    const callbackUrl = request.headers["x-callback-url"];
    if (callbackUrl !== undefined && !/^https?:$/.test(URL.parse(callbackUrl)?.protocol ?? ""))
      throw new StatusError("BadRequest", `X-Callback-Url ${JSON.stringify(callbackUrl)} is no URL`);
    const body = await request.body({ bytesMax: ASYNC_BODY_BYTES_MAX });
    const id = request.headers["x-call-id"] ?? random.uuid();
    const headers: Record<string, string> = { ...forwarded(request), "x-call-id": id };
    delete headers["x-callback-url"];
    await queue.put({
      id,
      key: `${namespace}/${name}`,
      method: "POST",
      path,
      query: Object.fromEntries(request.query),
      headers,
      body: Buffer.from(body).toString("base64"),
      atMs: clock.nowMs(),
      ...(callbackUrl === undefined ? {} : { callbackUrl }),
    });
    return {
      status: 202,
      headers: { "x-call-id": id, "x-start-time": `${Math.floor(clock.nowMs())}000000` },
    };
  }

  #mustFind({ name, namespace }: Where): NonNullable<ReturnType<Catalogue["get"]>> {
    const { catalogue } = this.#options;
    const key = `${namespace}/${name}`;
    const found = catalogue.get(key);
    if (found !== undefined) return found;
    const fault = catalogue.faultOf(key);
    if (fault !== undefined)
      throw new StatusError("ServiceUnavailable", `function ${name}.${namespace} cannot be called: ${fault}`);
    if (catalogue.functions.get(key) !== undefined)
      throw new StatusError(
        "ServiceUnavailable",
        `function ${name}.${namespace} is being deployed; try again in a moment`,
        { details: { retryAfterSeconds: 1 } },
      );
    throw new StatusError(
      "NotFound",
      `error finding function ${name}.${namespace}: it does not exist; GET /system/functions lists those that do`,
    );
  }

  #info(): HttpAnswer {
    const { version, commit } = this.#options.release;
    const one = { release: version, sha: commit, commit_message: "" };
    return jsonAnswer(200, {
      provider: { provider: "cortado", version: one, orchestration: "kubernetes" },
      version: one,
      arch: "x86_64",
    });
  }

  #status(object: Parameters<typeof toStatus>[0]): Readonly<Record<string, unknown>> {
    const { catalogue, invoker } = this.#options;
    const key = `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
    const deployed = catalogue.get(key);
    const replicas = deployed?.replicas?.wanted ?? deployed?.definition.least ?? object.status?.replicas ?? 0;
    const available = deployed?.replicas?.live ?? object.status?.availableReplicas ?? 0;
    return toStatus(object, {
      replicas,
      available,
      calls: invoker.callsOf(`${object.metadata.name}.${object.metadata.namespace ?? ""}`),
    });
  }

  #list({ query }: HttpRequest): HttpAnswer {
    const namespace = query.get("namespace") || DEFAULT_NAMESPACE;
    const all = [...this.#options.catalogue.functions.list()].filter(
      ({ metadata }) => metadata.namespace === namespace,
    );
    return jsonAnswer(
      200,
      all.map((object) => this.#status(object)),
    );
  }

  #describe({ query }: HttpRequest, called: string): HttpAnswer {
    const { name, namespace } = splitName(called, query.get("namespace") || undefined);
    const object = this.#options.catalogue.functions.get(`${namespace}/${name}`);
    if (object === undefined)
      throw new StatusError("NotFound", `error finding function ${name}.${namespace}: it does not exist`);
    return jsonAnswer(200, this.#status(object));
  }

  async #create(request: HttpRequest): Promise<HttpAnswer> {
    const { client, catalogue } = this.#options;
    const { service, namespace, spec } = readDeployment(
      parseJson(await request.body({ bytesMax: DEFINITION_BYTES_MAX })),
    );
    const made = await client.create(
      functionType,
      { metadata: { name: service, namespace }, spec },
      { namespace, signal: request.signal },
    );
    await catalogue.settled(made.metadata.resourceVersion);
    return { status: 202 };
  }

  async #update(request: HttpRequest): Promise<HttpAnswer> {
    const { client, catalogue } = this.#options;
    const {
      service: name,
      namespace,
      spec,
    } = readDeployment(parseJson(await request.body({ bytesMax: DEFINITION_BYTES_MAX })));
    if (catalogue.functions.get(`${namespace}/${name}`) === undefined)
      throw new StatusError(
        "NotFound",
        `error finding function ${name}.${namespace}: it does not exist; POST creates it`,
      );
    const body = [{ op: "replace", path: "/spec", value: spec }];
    const made = await client.patch(functionType, {
      name,
      namespace,
      type: "json",
      body,
      signal: request.signal,
    });
    await catalogue.settled(made.metadata.resourceVersion);
    return { status: 202 };
  }

  async #remove(request: HttpRequest): Promise<HttpAnswer> {
    const fields = record(parseJson(await request.body({ bytesMax: DEFINITION_BYTES_MAX })), "the body");
    const namespace =
      (fields["namespace"] as string | undefined) || request.query.get("namespace") || DEFAULT_NAMESPACE;
    await this.#options.client.delete(functionType, {
      name: text(fields["functionName"], "functionName"),
      namespace,
      signal: request.signal,
    });
    return { status: 202 };
  }

  async #scale(request: HttpRequest, called: string): Promise<HttpAnswer> {
    const { client, catalogue } = this.#options;
    const fields = record(parseJson(await request.body({ bytesMax: DEFINITION_BYTES_MAX })), "the body");
    const { name, namespace } = splitName(
      called,
      (fields["namespace"] as string | undefined) || request.query.get("namespace") || undefined,
    );
    const replicas = fields["replicas"];
    if (typeof replicas !== "number" || !Number.isInteger(replicas) || replicas < 0)
      throw new StatusError("BadRequest", "replicas must be a whole number");
    const body = { metadata: { annotations: { [annotationNames.replicas]: String(replicas) } } };
    const made = await client.patch(functionType, {
      name,
      namespace,
      type: "merge",
      body,
      signal: request.signal,
    });
    await catalogue.settled(made.metadata.resourceVersion);
    return { status: 202 };
  }

  async #namespaces({ signal }: HttpRequest): Promise<HttpAnswer> {
    const { items } = await this.#options.client.list(namespaceType, { signal });
    const marked = items.filter(
      ({ metadata }) =>
        metadata.annotations?.["openfaas"] !== undefined || metadata.labels?.["openfaas"] !== undefined,
    );
    return jsonAnswer(200, [...new Set([DEFAULT_NAMESPACE, ...marked.map(({ metadata }) => metadata.name)])]);
  }

  #logs(request: HttpRequest): HttpAnswer {
    const { catalogue, clock } = this.#options;
    const { name, namespace } = splitName(
      request.query.get("name") ?? "",
      request.query.get("namespace") || undefined,
    );
    if (catalogue.functions.get(`${namespace}/${name}`) === undefined)
      throw new StatusError("NotFound", `error finding function ${name}.${namespace}: it does not exist`);
    return logsAnswer(request, { name, namespace, ring: catalogue.ring(`${namespace}/${name}`), clock });
  }
}
