import type { Client } from "@cortado/client";
import type { Key } from "@cortado/client/informer";
import type { LoopMetrics } from "@cortado/client/loop";
import { namespaces } from "@cortado/kinds/resources";
import { backoffMs } from "@cortado/std/backoff";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { HttpHandler } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { Catalogue } from "./control/catalogue.ts";
import { DeadLetters } from "./dead-letters/dead-letters.ts";
import { Gateway } from "./gateway/gateway.ts";
import { sendHttp, type SendHttp } from "./http-sender.ts";
import { Invoker, type Callable } from "./invoke.ts";
import { DEFAULT_NAMESPACE } from "./limits.ts";
import { AsyncQueue } from "./queue/async-queue.ts";
import { findIsolation } from "./runtime/isolation.ts";
import { newLanguages } from "./runtime/languages.ts";
import { InterpreterPool } from "./runtime/pool.ts";
import type { StartReplica } from "./runtime/replicas.ts";
import { CronTrigger } from "./triggers/cron-trigger.ts";
import { MqttTrigger, type MqttTriggerOptions } from "./triggers/mqtt-trigger.ts";

export type { SendHttp } from "./http-sender.ts";

export type StartFunctionsOptions = {
  readonly client: Client;
  readonly files: Files;
  /** Queue and settings of this room. */
  readonly folder: string;
  /** Parent of the functions' own data folders; must outlive restarts. */
  readonly dataFolder: string;
  /** An empty folder for mounts; may go at a restart. */
  readonly runFolder: string;
  /** The store's name, for alerts. */
  readonly store: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly loopMetrics: LoopMetrics;
  /** Opens a stamped connection to the broker (`broker.dialLocal`); absent: no MQTT triggers. */
  readonly dialBroker?: () => Connection;
  readonly nodePath: string;
  readonly pythonPath?: string;
  /** As "/cortado-042/functions"; absent: no cgroup limits. */
  readonly cgroupParent?: string;
  /** Plain child processes even where namespaces could be had. */
  readonly plainProcesses?: boolean;
  /** Basic auth for /system; absent: open. */
  readonly credentials?: { readonly user: string; readonly password: string };
  readonly release: { readonly version: string; readonly commit: string };
  readonly poolSize?: number;
  /** For tests: what runs handlers, and what carries HTTP. */
  readonly startReplica?: StartReplica;
  readonly send?: SendHttp;
};

export interface Functions extends AsyncDisposable {
  /** The gateway; `trusted` for a listener that needs no password. */
  handler(options: { readonly trusted: boolean }): HttpHandler;
  /** Resolves when every function that was there at the start is deployed or known not to be. */
  readonly ready: Promise<void>;
  /** How functions are kept apart here, as status says it. */
  readonly isolation: string;
}

/** Starts the gateway, the runtime and the triggers. Listens nowhere: the program mounts the handlers. */
export async function startFunctions(options: StartFunctionsOptions): Promise<Functions> {
  const { client, clock, random, log, metrics, loopMetrics, store, send = sendHttp } = options;
  await using starting = new AsyncDisposableStack();
  const isolation = await findIsolation({
    rootFolder: options.runFolder,
    ...(options.cgroupParent === undefined ? {} : { cgroupParent: options.cgroupParent }),
    plain: options.plainProcesses ?? false,
  });
  const languages = newLanguages(options);
  const pool = starting.use(
    new InterpreterPool({
      languages,
      isolation,
      clock,
      log,
      ...(options.poolSize === undefined ? {} : { size: options.poolSize }),
    }),
  );
  const resolveUrl = (url: string): string => catalogue.resolveUrl(url);
  const invoker = new Invoker({ store, client, clock, log, metrics, send, resolveUrl });
  const changed = async (): Promise<void> => {
    cron.update();
    await mqtt?.update();
  };
  const startReplica = startReplicaOf(options, pool);
  const catalogue: Catalogue = new Catalogue({
    client,
    clock,
    log,
    loopMetrics,
    languages,
    startReplica,
    isolationText: () => isolation.text,
    dataFolder: options.dataFolder,
    send,
    changed,
  });
  starting.use(catalogue);
  const invoke = invoker.invoke.bind(invoker);
  const callables = (): Iterable<NonNullable<ReturnType<Catalogue["get"]>>> => catalogue.all();
  const cron = starting.use(new CronTrigger({ clock, log, callables, invoke }));
  const find = (key: Key): Callable | undefined => catalogue.get(key);
  const letters = starting.use(
    new DeadLetters({ client, clock, log, loopMetrics, ready: catalogue.ready(), find, invoke }),
  );
  const mqtt = starting.use(newMqttTrigger(options, { letters, callables, invoke }));
  const queue = starting.use(await openQueue(options, { catalogue, invoker, send, resolveUrl }));
  const gateway = new Gateway({
    catalogue,
    invoker,
    queue,
    client,
    clock,
    random,
    log,
    credentials: options.credentials,
    release: options.release,
  });
  declareGauges(metrics, { catalogue, queue, letters, mqtt });
  log.info("functions started", { isolation: isolation.text });
  const stop = new AbortController();
  const ready = begin({ client, clock, catalogue, queue, letters, mqtt, signal: stop.signal });
  ready.catch((error: unknown) => {
    if (!stop.signal.aborted) log.error("functions could not begin", { error });
  });
  const running = starting.move();
  return {
    handler: (handling) => gateway.handler(handling),
    ready,
    isolation: isolation.text,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running.disposeAsync();
    },
  };
}

type Begun = {
  readonly client: Client;
  readonly clock: Clock;
  readonly catalogue: Catalogue;
  readonly queue: AsyncQueue;
  readonly letters: DeadLetters;
  readonly mqtt: MqttTrigger | undefined;
  readonly signal: AbortSignal;
};

// First the functions, then what calls them: what comes before its function is known would be lost or refused.
async function begin({ client, clock, catalogue, queue, letters, mqtt, signal }: Begun): Promise<void> {
  for (let attempt = 0; !(await hasNamespace(client, signal)); attempt += 1)
    await clock.sleep(backoffMs(attempt, { firstMs: 100, maxMs: 5_000 }), { signal }); // the API may come up after us
  await Promise.all([catalogue.ready(), letters.synced]);
  if (signal.aborted) return;
  queue.start();
  await mqtt?.start();
}

async function hasNamespace(client: Client, signal: AbortSignal): Promise<boolean> {
  try {
    await client.create(namespaces, { metadata: { name: DEFAULT_NAMESPACE } }, { signal });
    return true;
  } catch (error) {
    return hasReason(error, "AlreadyExists", "Conflict");
  }
}

function startReplicaOf(
  { startReplica }: StartFunctionsOptions,
  pool: InterpreterPool,
): ConstructorParameters<typeof Catalogue>[0]["startReplica"] {
  if (startReplica !== undefined) return () => startReplica;
  return (language, data) =>
    async ({ handler, limits, onLine }) => {
      const interpreter = await pool.take(
        language,
        data === undefined ? {} : { data: { path: data.path, bytesMax: data.bytesMax } },
      );
      try {
        const environment = {
          ...handler.environment,
          ...(interpreter.dataPath === undefined ? {} : { CORTADO_DATA: interpreter.dataPath }),
        };
        await interpreter.load({ code: handler.code, environment }, { limits, onLine });
        return interpreter;
      } catch (error) {
        interpreter.discard();
        throw error;
      }
    };
}

function newMqttTrigger(
  { dialBroker: dial, files, folder, clock, random, log }: StartFunctionsOptions,
  parts: Pick<MqttTriggerOptions, "letters" | "callables" | "invoke">,
): MqttTrigger | undefined {
  return dial === undefined
    ? undefined
    : new MqttTrigger({ dial, files, folder, clock, random, log, ...parts });
}

type QueueParts = {
  readonly catalogue: Catalogue;
  readonly invoker: Invoker;
  readonly send: SendHttp;
  readonly resolveUrl: (url: string) => string;
};

function openQueue(
  { files, folder, clock, random, log }: StartFunctionsOptions,
  { catalogue, invoker, send, resolveUrl }: QueueParts,
): Promise<AsyncQueue> {
  return AsyncQueue.open({
    files,
    folder,
    clock,
    random,
    log,
    send,
    resolveUrl,
    annotationsOf: (key) => catalogue.get(key)?.definition.annotations ?? {},
    async invoke({ key, body, ...call }, { signal }) {
      const callable = catalogue.get(key);
      if (callable === undefined && catalogue.functions.get(key) === undefined) return undefined;
      if (callable === undefined)
        return {
          status: 503,
          headers: {},
          body: new TextEncoder().encode(catalogue.faultOf(key) ?? "not deployed yet"),
        };
      return invoker.invoke(callable, { ...call, body: Buffer.from(body, "base64") }, { signal });
    },
  });
}

type Gauged = {
  readonly catalogue: Catalogue;
  readonly queue: AsyncQueue;
  readonly letters: DeadLetters;
  readonly mqtt: MqttTrigger | undefined;
};

function declareGauges(metrics: Metrics, { catalogue, queue, letters, mqtt }: Gauged): void {
  const functions = metrics.gauge("cortado_functions", { help: "Functions that can be called." });
  const replicas = metrics.gauge("cortado_function_replicas", { help: "Live replicas of all functions." });
  const waiting = metrics.gauge("queue_worker_pending_messages", { help: "Asynchronous calls that wait." });
  const dead = metrics.gauge("cortado_function_async_failed", {
    help: "Asynchronous calls that failed for good since the start.",
  });
  const messages = metrics.gauge("cortado_function_trigger_messages", {
    help: "MQTT messages taken since the start, counted for each function that they are for.",
  });
  const retries = metrics.gauge("cortado_function_trigger_retries", {
    help: "Calls repeated for a message since the start.",
  });
  const givenUp = metrics.gauge("cortado_function_trigger_dead_letters", {
    help: "Messages given up since the start.",
  });
  const kept = metrics.gauge("cortado_function_dead_letters", { help: "Dead letters that are kept." });
  const replayed = metrics.gauge("cortado_function_dead_letters_replayed", {
    help: "Dead letters replayed well since the start.",
  });
  const evicted = metrics.gauge("cortado_function_dead_letters_evicted", {
    help: "Dead letters dropped since the start, as too many were kept.",
  });
  metrics.beforeText(() => {
    const all = [...catalogue.all()];
    functions.set(all.length);
    replicas.set(all.reduce((sum, one) => sum + (one.replicas?.live ?? 0), 0));
    waiting.set(queue.size);
    dead.set(queue.dead);
    messages.set(mqtt?.counts.messages ?? 0);
    retries.set(mqtt?.counts.retries ?? 0);
    givenUp.set(mqtt?.counts.deadLetters ?? 0);
    kept.set(letters.size);
    replayed.set(letters.counts.replayed);
    evicted.set(letters.counts.evicted);
  });
}
