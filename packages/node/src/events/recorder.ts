import type { Client } from "@cortado/client";
import { events } from "@cortado/kinds/resources";
import { toTime, type Clock } from "@cortado/std/clock";
import { BoundedQueue } from "@cortado/std/bounded-queue";
import type { Log } from "@cortado/std/log";
import { hasReason } from "@cortado/std/status";
import { EVENT_BURST, EVENT_REFILL_MS, EVENTS_KEPT_MAX, EVENTS_WAITING_MAX } from "../limits.ts";

export type Involved = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly fieldPath?: string;
};

export type Happening = {
  readonly involved: Involved;
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
};

export type RecorderOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Log;
  readonly nodeName: string;
  readonly signal: AbortSignal;
};

type Kept = { readonly name: string; readonly namespace: string; readonly firstTime: string; count: number };
type Bucket = { tokens: number; atMs: number };

/** Writes core/v1 Events in order, beside the work they tell of; a repetition counts up the first one. */
export class EventRecorder {
  readonly #options: RecorderOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #queue: BoundedQueue<Happening> = new BoundedQueue({
    itemsMax: EVENTS_WAITING_MAX,
    whenFull: "refuse",
  });

  constructor(options: RecorderOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#queue.close(), { once: true });
    void this.#run();
  }

  /** Never waits and never throws. */
  record(happening: Happening): void {
    if (this.#allowed(happening)) this.#queue.offer(happening);
  }

  #allowed({ involved, reason }: Happening): boolean {
    const key = `${involved.kind}/${involved.uid}/${reason}`;
    const nowMs = this.#options.clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? { tokens: EVENT_BURST, atMs: nowMs };
    const tokens = Math.min(EVENT_BURST, bucket.tokens + (nowMs - bucket.atMs) / EVENT_REFILL_MS);
    remember(this.#buckets, key, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs: nowMs });
    return tokens >= 1;
  }

  async #run(): Promise<void> {
    const { signal, log } = this.#options;
    for (
      let next = await this.#queue.take({ signal });
      next !== undefined;
      next = await this.#queue.take({ signal })
    ) {
      try {
        await this.#write(next);
      } catch (error) {
        // The namespace may be going away; an event is not worth a second try.
        if (!signal.aborted) log.debug("event not written", { reason: next.reason, error });
      }
    }
  }

  async #write(happening: Happening): Promise<void> {
    const { client, clock, signal } = this.#options;
    const { involved, reason, message, type } = happening;
    const key = [involved.kind, involved.uid, involved.fieldPath, type, reason, message].join("\0");
    const nowMs = clock.nowMs();
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      kept.count += 1;
      try {
        const body = { count: kept.count, lastTimestamp: toTime(nowMs) };
        await client.patch(events, {
          name: kept.name,
          namespace: kept.namespace,
          type: "merge",
          body,
          signal,
        });
        return;
      } catch (error) {
        if (!hasReason(error, "NotFound")) throw error; // it expired: the next is a new one
      }
    }
    const made: Kept = {
      // Upstream's form, NAME.HEX of the time; made unique by how many we wrote.
      name: `${involved.name}.${(BigInt(nowMs) * 1_000_000n + BigInt(this.#nextNumber())).toString(16)}`,
      namespace: involved.namespace ?? "default",
      firstTime: toTime(nowMs),
      count: 1,
    };
    remember(this.#kept, key, made);
    await this.#create(happening, made);
  }

  #number = 0;
  #nextNumber(): number {
    this.#number = (this.#number + 1) % 1_000_000;
    return this.#number;
  }

  async #create({ involved, reason, message, type }: Happening, made: Kept): Promise<void> {
    const { client, nodeName, signal } = this.#options;
    await client.create(
      events,
      {
        metadata: { name: made.name, namespace: made.namespace },
        involvedObject: { ...involved },
        reason,
        message: message.slice(0, 1_024),
        type,
        count: 1,
        firstTimestamp: made.firstTime,
        lastTimestamp: made.firstTime,
        source: { component: "kubelet", host: nodeName },
        reportingComponent: "kubelet",
        reportingInstance: nodeName,
      },
      { namespace: made.namespace, signal },
    );
  }
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= EVENTS_KEPT_MAX) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
