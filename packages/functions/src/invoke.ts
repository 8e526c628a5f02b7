import type { Client } from "@cortado/client";
import { alerts } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Metrics } from "@cortado/std/metrics";
import { hasReason, StatusError, toStatusError } from "@cortado/std/status";
import { createHash } from "node:crypto";
import type { Definition } from "./definition.ts";
import { ALERT_TEXT_CHARACTERS_MAX, CALLBACK_TIMEOUT_MS, METRIC_FUNCTIONS_MAX } from "./limits.ts";
import type { Answer, Call } from "./runtime/interpreter.ts";
import type { SendHttp } from "./http-sender.ts";

/** A function that can be called, whatever it runs in. */
export interface Callable {
  readonly definition: Definition;
  call(call: Call, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<Answer>;
}

export type Event = Call & {
  /** When it happened; of a message, when the broker took it. */
  readonly atMs: number;
  /** Of a message: its topic. */
  readonly topic?: string;
};

export type InvokerOptions = {
  readonly store: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly send: SendHttp;
  /** Turns `http://NAME.NAMESPACE…` of a Service into the address of a ready endpoint; answers the URL unchanged when it is none. */
  readonly resolveUrl: (url: string) => string;
};

/** Calls a function and does with its answer what its annotations say: an Alert, a callback, a line in the log. */
export class Invoker {
  readonly #options: InvokerOptions;
  readonly #count: (name: string, code: number, seconds: number) => void;
  readonly #calls: Map<string, number> = new Map();

  constructor(options: InvokerOptions) {
    this.#options = options;
    this.#count = newCounts(options.metrics);
  }

  /** Calls of a function since the start, for `invocationCount`. */
  callsOf(key: string): number {
    return this.#calls.get(key) ?? 0;
  }

  forget(key: string): void {
    this.#calls.delete(key);
  }

  /** @throws StatusError when there is no answer, or when what follows from it could not be done: the call may then be repeated */
  async invoke(
    callable: Callable,
    event: Event,
    options: { readonly signal: AbortSignal; readonly timeoutMs?: number },
  ): Promise<Answer> {
    const { clock } = this.#options;
    const { definition } = callable;
    const { name, namespace, timeoutMs } = definition;
    const key = `${name}.${namespace}`;
    this.#calls.set(key, this.callsOf(key) + 1);
    const startMs = clock.monotonicMs();
    let code = 500;
    try {
      const answer = await callable.call(event, {
        timeoutMs: Math.min(options.timeoutMs ?? timeoutMs, timeoutMs),
        signal: options.signal,
      });
      code = answer.status;
      if (answer.status < 300) await this.#follow(definition, event, { answer, signal: options.signal });
      return answer;
    } catch (error) {
      code = toStatusError(error).code;
      throw error;
    } finally {
      this.#count(key, code, (clock.monotonicMs() - startMs) / 1_000);
    }
  }

  async #follow(
    definition: Definition,
    event: Event,
    { answer, signal }: { readonly answer: Answer; readonly signal: AbortSignal },
  ): Promise<void> {
    const { log, send, resolveUrl } = this.#options;
    const { alertOn, callback, name, namespace } = definition;
    if (alertOn === undefined && callback === undefined) return;
    const text = new TextDecoder().decode(answer.body);
    if (alertOn !== undefined && text.startsWith(alertOn))
      await this.#alert(definition, event, { text, signal });
    else if (alertOn !== undefined)
      log.info("function answered", {
        function: name,
        namespace,
        call: event.id,
        topic: event.topic,
        answer: text.slice(0, 500),
      });
    if (callback === undefined || text === "" || !text.startsWith(callback.on)) return;
    const headers = {
      "content-type": answer.headers["content-type"] ?? "text/plain",
      "x-call-id": event.id,
      "x-function-name": name,
    };
    const sent = await send({
      url: resolveUrl(callback.url),
      method: "POST",
      headers,
      body: answer.body,
      timeoutMs: CALLBACK_TIMEOUT_MS,
      signal,
    });
    if (sent.status >= 300)
      throw new StatusError("BadGateway", `callback of ${name}: ${callback.url} answered ${sent.status}`);
  }

  async #alert(
    { name, namespace }: Definition,
    event: Event,
    { text, signal }: { readonly text: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const { client, store, log } = this.#options;
    const payload = new TextDecoder().decode(event.body).slice(0, ALERT_TEXT_CHARACTERS_MAX);
    const alertName = eventNameOf(name, event.id);
    const spec = {
      store,
      source: name,
      ...(event.topic === undefined ? {} : { topic: event.topic }),
      payload,
      text: text.slice(0, ALERT_TEXT_CHARACTERS_MAX),
      at: new Date(event.atMs).toISOString(),
    };
    try {
      await client.create(
        alerts,
        { metadata: { name: alertName, namespace, labels: { faas_function: name } }, spec },
        { namespace, signal },
      );
      log.warn("alert raised", { alert: alertName, namespace, topic: event.topic, text });
    } catch (error) {
      if (!hasReason(error, "AlreadyExists")) throw error; // the same event again is the same alert
    }
  }
}

/** An Alert's name, as a dead letter's, comes from the event's id, so that an event that comes again makes no second one. */
export function eventNameOf(name: string, eventId: string): string {
  const plain = `${name}-${eventId}`.toLowerCase();
  if (plain.length <= 200 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(plain) && plain === `${name}-${eventId}`)
    return plain;
  return `${name.slice(0, 150)}-${createHash("sha256").update(eventId).digest("hex").slice(0, 32)}`;
}

/** OpenFaaS' own metrics; object names as labels are theirs, so only so many get a series. */
function newCounts(metrics: Metrics): (name: string, code: number, seconds: number) => void {
  const total = metrics.counter("gateway_function_invocation_total", {
    help: "Calls of functions.",
    labels: ["function_name", "code"],
  });
  const seconds = metrics.histogram("gateway_functions_seconds", {
    help: "How long calls took.",
    labels: ["function_name", "code"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  });
  const known = new Set<string>();
  const codes = new Set<number>();
  return (name, code, took) => {
    if (known.size < METRIC_FUNCTIONS_MAX) known.add(name);
    if (codes.size < 15) codes.add(code);
    const labels = {
      function_name: known.has(name) ? name : "other",
      code: codes.has(code) ? String(code) : "other",
    };
    total.add(1, labels);
    seconds.observe(took, labels);
  };
}
