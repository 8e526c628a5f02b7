import { createHash } from "node:crypto";
import type { Client, Stored } from "@cortado/client";
import { startInformer, type Informer, type Key } from "@cortado/client/informer";
import { done, startLoop, type Loop, type LoopMetrics, type Outcome } from "@cortado/client/loop";
import type { ConfigMap, Deployment, EndpointSlice, FunctionResource } from "@cortado/kinds";
import { configMaps, deployments, endpointSlices, functions } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import { readDefinition, type Definition } from "../definition.ts";
import type { SendHttp } from "../http-sender.ts";
import type { Callable } from "../invoke.ts";
import { TRIGGERS_WAIT_MS } from "../limits.ts";
import { LogRing } from "../log-ring.ts";
import type { Language, LanguageName } from "../runtime/languages.ts";
import { Replicas, type StartReplica } from "../runtime/replicas.ts";
import { ContainerFunction, readyUrl, writeContainer } from "./container.ts";
import { DataFolder } from "./data-folder.ts";
import { statusOf, sameStatus } from "./status.ts";

export type CatalogueOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly languages: Readonly<Record<LanguageName, Language>>;
  /** Starts a replica of a language; `data` is the function's own folder. */
  readonly startReplica: (language: LanguageName, data: DataFolder | undefined) => StartReplica;
  readonly isolationText: () => string;
  readonly dataFolder: string;
  readonly send: SendHttp;
  /** Told when a function came, went or changed what triggers it; resolves when its triggers are so. Never rejects. */
  readonly changed: () => Promise<void>;
};

/** A function as it is now: its definition, and what answers its calls. */
export type Deployed = Callable & {
  readonly version: string;
  readonly replicas: Replicas | undefined;
  readonly container: ContainerFunction | undefined;
  readonly data: DataFolder | undefined;
};

/** Brings what runs in line with the Function objects of the API, and says in their status what that is. */
export class Catalogue implements AsyncDisposable {
  readonly #options: CatalogueOptions;
  readonly #stop: AbortController = new AbortController();
  readonly #deployed: Map<Key, Deployed> = new Map();
  readonly #rings: Map<Key, LogRing> = new Map();
  readonly #faults: Map<Key, string> = new Map();
  readonly #draining: Set<Promise<void>> = new Set();
  readonly functions: Informer<FunctionResource>;
  readonly #configMaps: Informer<ConfigMap>;
  readonly #deployments: Informer<Deployment>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #loop: Loop;

  constructor(options: CatalogueOptions) {
    this.#options = options;
    const { client, clock, log, loopMetrics } = options;
    const { signal } = this.#stop;
    const sourceOf = (object: Stored<FunctionResource>): readonly string[] => {
      const source = { ...object.metadata.annotations, ...object.spec.annotations }["cortado.local/source"];
      return source === undefined ? [] : [`${object.metadata.namespace ?? ""}/${source}`];
    };
    this.functions = startInformer(client, functions, { clock, log, signal, indexes: { source: sourceOf } });
    this.#configMaps = startInformer(client, configMaps, { clock, log, signal });
    this.#deployments = startInformer(client, deployments, {
      clock,
      log,
      signal,
      labelSelector: "faas_function",
    });
    this.#slices = startInformer(client, endpointSlices, { clock, log, signal });
    this.#loop = startLoop({
      name: "function",
      clock,
      log,
      metrics: loopMetrics,
      signal,
      workers: 2,
      reconcile: (key, waiting) => this.#reconcile(key, waiting),
      keys: () =>
        [...this.functions.list()].map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name}`),
    });
    this.functions.subscribe(({ key }) => this.#loop.add(key));
    this.#configMaps.subscribe(({ key }) => {
      for (const { metadata } of this.functions.byIndex("source", key))
        this.#loop.add(`${metadata.namespace ?? ""}/${metadata.name}`);
    });
    this.#deployments.subscribe(({ key }) => this.#loop.add(key));
  }

  /** Resolves when every function that was there at the start has been looked at. */
  async ready(): Promise<void> {
    await Promise.all(
      [this.functions, this.#configMaps, this.#deployments, this.#slices].map(({ synced }) => synced),
    );
    await this.#loop.idle();
  }

  get(key: Key): Deployed | undefined {
    return this.#deployed.get(key);
  }

  all(): Iterable<Deployed> {
    return this.#deployed.values();
  }

  /** Why a function that is in the API cannot be called; undefined when it can, or is unknown. */
  faultOf(key: Key): string | undefined {
    return this.#faults.get(key);
  }

  ring(key: Key): LogRing {
    const ring = this.#rings.get(key) ?? new LogRing();
    this.#rings.set(key, ring);
    return ring;
  }

  /** Waits until the object of this resourceVersion has been acted upon. */
  async settled(resourceVersion: string): Promise<void> {
    await this.functions.seen(resourceVersion);
    await this.#loop.idle();
  }

  /** A ready endpoint of a Service for its URL (`http://NAME.NAMESPACE[.svc…][:PORT]/…`); other URLs as they are. */
  resolveUrl(url: string): string {
    return readyUrl(url, this.#slices) ?? url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new StatusError("ServiceUnavailable", "functions are being stopped"));
    await this.#loop.idle();
    for (const { replicas } of this.#deployed.values()) await replicas?.[Symbol.asyncDispose]();
    await Promise.allSettled(this.#draining);
  }

  async #reconcile(key: Key, { signal }: { readonly signal: AbortSignal }): Promise<Outcome> {
    const object = this.functions.get(key);
    if (object === undefined) {
      this.#replace(key, undefined);
      this.#rings.delete(key);
      this.#faults.delete(key);
      await this.#triggered(signal);
      return done;
    }
    try {
      await this.#deploy(key, object, signal);
      this.#faults.delete(key);
    } catch (error) {
      if (!hasReason(error, "Invalid", "NotFound") || signal.aborted) throw error;
      // A person must act; what ran before goes on, so that a slip of the pen stops no till.
      this.#faults.set(key, messageOf(error));
    }
    await this.#writeStatus(key, object, signal);
    return done;
  }

  async #deploy(key: Key, object: Stored<FunctionResource>, signal: AbortSignal): Promise<void> {
    const definition = readDefinition(object);
    if (definition.language === undefined) return this.#deployContainer(key, { definition, object, signal });
    const source = this.#sourceOf(definition);
    const version = versionOf(definition, source);
    const known = this.#deployed.get(key);
    if (known?.version === version) {
      this.#deployed.set(key, { ...known, definition }); // its triggers and annotations may have changed
      await this.#triggered(signal);
      return;
    }
    const code = await this.#options.languages[definition.language].prepare(source);
    const data =
      definition.dataBytes === undefined
        ? undefined
        : new DataFolder(`${this.#options.dataFolder}/${key}`, definition.dataBytes);
    const replicas = this.#startReplicas(key, definition, { code, data });
    await replicas.settled();
    if (signal.aborted) {
      await replicas[Symbol.asyncDispose]();
      signal.throwIfAborted();
    }
    const old = this.#deployed.get(key)?.replicas;
    if (replicas.fault !== undefined && old !== undefined && old.live > 0) {
      const { fault } = replicas;
      await replicas[Symbol.asyncDispose]();
      throw new StatusError("Invalid", `the new code cannot be loaded, the old goes on: ${fault}`);
    }
    const call: Callable["call"] = async (event, { timeoutMs }) => {
      data?.mustHaveRoom(definition.name);
      const answer = await replicas.call(event, timeoutMs);
      await data?.measure();
      return answer;
    };
    this.#replace(key, { definition, version, replicas, container: undefined, data, call });
    this.#options.log.info("function deployed", {
      function: definition.name,
      namespace: definition.namespace,
      language: definition.language,
      fault: replicas.fault,
    });
    await this.#triggered(signal);
  }

  /** A function that is Ready gets what is published from then on. A broker that does not take it up holds up nobody for long. */
  async #triggered(signal: AbortSignal): Promise<void> {
    const { changed, clock } = this.#options;
    const over = new AbortController();
    const patience = { signal: AbortSignal.any([signal, over.signal]) };
    await Promise.race([changed(), clock.sleep(TRIGGERS_WAIT_MS, patience).catch(() => undefined)]);
    over.abort();
  }

  async #deployContainer(
    key: Key,
    {
      definition,
      object,
      signal,
    }: { definition: Definition; object: Stored<FunctionResource>; signal: AbortSignal },
  ): Promise<void> {
    const version = createHash("sha256")
      .update(JSON.stringify([object.metadata.uid, object.spec, definition.least]))
      .digest("hex");
    // Written once for each version, and when the Deployment has gone: its own changes wake this loop.
    if (this.#deployed.get(key)?.version !== version || this.#deployments.get(key) === undefined)
      await writeContainer(definition, { object, client: this.#options.client, signal });
    const container = new ContainerFunction({ definition, slices: this.#slices, send: this.#options.send });
    this.#replace(key, {
      definition,
      version,
      container,
      replicas: undefined,
      data: undefined,
      call: (call, options) => container.call(call, options),
    });
    await this.#triggered(signal);
  }

  #startReplicas(
    key: Key,
    definition: Definition,
    { code, data }: { readonly code: Uint8Array; readonly data: DataFolder | undefined },
  ): Replicas {
    const { startReplica, clock } = this.#options;
    const { name, namespace, language = "python3", limits, least, most, timeoutMs, environment } = definition;
    return new Replicas({
      name: `${name}.${namespace}`,
      start: startReplica(language, data),
      handler: { code, environment },
      limits,
      least,
      most: data === undefined ? most : 1, // one writer for a folder
      timeoutMs,
      clock,
      onLine: ({ text }) => this.ring(key).add({ atMs: clock.nowMs(), instance: `${name}-1`, text }),
      changed: () => this.#loop.add(key),
    });
  }

  #sourceOf({ namespace, source = "", language = "python3" }: Definition): string {
    const { file } = this.#options.languages[language];
    const found = this.#configMaps.get(`${namespace}/${source}`);
    if (found === undefined)
      throw new StatusError(
        "NotFound",
        `ConfigMap ${source} is not in namespace ${namespace}; create it with the key ${file}`,
      );
    const text = found.data?.[file];
    if (text === undefined)
      throw new StatusError(
        "Invalid",
        `ConfigMap ${source} has no key ${file}; that is where the code belongs`,
      );
    return text;
  }

  #replace(key: Key, next: Deployed | undefined): void {
    const old = this.#deployed.get(key);
    if (next === undefined) this.#deployed.delete(key);
    else this.#deployed.set(key, next);
    const replicas = old?.replicas;
    if (replicas === undefined || replicas === next?.replicas) return;
    const draining = (this.#stop.signal.aborted ? replicas[Symbol.asyncDispose]() : replicas.drain()).finally(
      () => this.#draining.delete(draining),
    );
    this.#draining.add(draining);
  }

  async #writeStatus(key: Key, object: Stored<FunctionResource>, signal: AbortSignal): Promise<void> {
    const { clock, client, isolationText } = this.#options;
    const deployed = this.#deployed.get(key);
    const status = statusOf({
      object,
      nowMs: clock.nowMs(),
      fault: this.#faults.get(key) ?? deployed?.replicas?.fault,
      wanted: deployed?.replicas?.wanted ?? deployed?.definition.least ?? 0,
      available: deployed?.replicas?.live ?? this.#deployments.get(key)?.status?.availableReplicas ?? 0,
      isolation: deployed?.container === undefined ? isolationText() : "container",
    });
    if (sameStatus(status, object.status)) return;
    const { name, namespace = "" } = object.metadata;
    try {
      await client.patch(functions, {
        name,
        namespace,
        subresource: "status",
        type: "merge",
        body: { status },
        fieldManager: "cortado-functions",
        signal,
      });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error; // deleted meanwhile
    }
  }
}

function versionOf(definition: Definition, source: string): string {
  const { image, environment, limits, least, most, timeoutMs, dataBytes } = definition;
  return createHash("sha256")
    .update(JSON.stringify([image, environment, limits, least, most, timeoutMs, dataBytes, source]))
    .digest("hex");
}
