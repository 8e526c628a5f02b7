import type { Change, Client } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import { configMaps, leases, pods, type ResourceType } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import { WatchModel } from "../../checkers/watch-model.ts";
import { COMPARE_EVERY_MS, SLOW_WATCH_MS_MAX, TELL_MS } from "../../limits.ts";
import type { ActorPorts } from "./actor-ports.ts";

export type WatchedKind = "configmaps" | "leases" | "pods";

const kinds = new Map<WatchedKind, ResourceType>([
  ["configmaps", configMaps],
  ["leases", leases],
  ["pods", pods],
]);

type Listed = { readonly revision: number; readonly objects: ReadonlyMap<string, number> };

/** Follows all objects of a kind as an informer does, and compares what it was told with lists. */
export class Watcher {
  readonly #ports: ActorPorts;
  readonly #kind: WatchedKind;
  readonly #model: WatchModel;
  /** Counts the times that the model began anew from a list. */
  #session = 0;
  #dropped = false;
  #isFollowing = false;

  constructor(kind: WatchedKind, ports: ActorPorts) {
    this.#kind = kind;
    this.#ports = ports;
    this.#model = new WatchModel(ports.claims, { store: ports.store.name, kind });
  }

  async run(): Promise<void> {
    const { signal, store } = this.#ports;
    let resume = false;
    while (!signal.aborted) {
      const { client } = await store.up();
      try {
        if (!resume && !(await this.#list(client))) continue;
        await this.#follow(client);
        resume = true; // also in the next life: then it is told all that happened, or that it is too late
      } catch (error) {
        resume = false;
        if (!hasReason(error, "Expired")) await this.#ports.clock.sleep(100, { signal });
      }
    }
  }

  /** Compares now and then, until the end. */
  async compare(): Promise<void> {
    const { clock, signal } = this.#ports;
    while (!signal.aborted) {
      await clock.sleep(COMPARE_EVERY_MS, { signal });
      await this.compareOnce();
    }
  }

  async compareOnce(): Promise<void> {
    const { clock, signal, store } = this.#ports;
    const session = this.#session;
    const { lives } = store;
    const answer = await store.ask(({ client }) => this.#read(client));
    if (answer.kind !== "done" || session === 0) return;
    await clock.sleep(TELL_MS, { signal });
    const { revision, objects } = answer.result;
    if (
      session === this.#session &&
      lives === store.lives &&
      store.services !== undefined &&
      this.#isFollowing
    )
      this.#model.compare(revision, objects);
  }

  get #type(): ResourceType {
    return kinds.get(this.#kind) as ResourceType;
  }

  async #list(client: Client): Promise<boolean> {
    const listed = await this.#ports.store.race(this.#read(client));
    if (listed === "died") return false;
    this.#session += 1;
    this.#model.listed(listed.revision, listed.objects);
    return true;
  }

  async #read(client: Client): Promise<Listed> {
    const { items, resourceVersion } = await client.list(this.#type, { signal: this.#ports.signal });
    const objects = items.map(
      ({ metadata }) => [nameOf(metadata), Number(metadata.resourceVersion)] as const,
    );
    return { revision: Number(resourceVersion), objects: new Map(objects) };
  }

  /** Until the watch ends, the process dies, or chance ends it. */
  async #follow(client: Client): Promise<void> {
    const { store, random, clock, signal: ending } = this.#ports;
    const stop = new AbortController();
    const end = (): void => stop.abort();
    ending.addEventListener("abort", end, { once: true });
    const patience = clock.after(5_000 + random.integer(60_000), end);
    const changes = client
      .watch(this.#type, { resourceVersion: String(this.#model.last), signal: stop.signal })
      [Symbol.asyncIterator]();
    this.#isFollowing = true;
    try {
      for (;;) {
        const next = await store.race(changes.next());
        if (next === "died" || next.done === true) return;
        this.#tell(next.value);
        // A slow watcher now and then: it must not miss anything for it.
        if (random.integer(100) === 0)
          await clock
            .sleep(random.integer(SLOW_WATCH_MS_MAX), { signal: stop.signal })
            .catch(() => undefined);
      }
    } finally {
      this.#isFollowing = false;
      patience[Symbol.dispose]();
      ending.removeEventListener("abort", end);
      stop.abort();
    }
  }

  #tell({ type, object }: Change<KubeObject>): void {
    const { trace, store, revisions, fault, random } = this.#ports;
    const metadata = object.metadata as { name?: string; namespace?: string; resourceVersion: string };
    const revision = Number(metadata.resourceVersion);
    if (type === "BOOKMARK") {
      this.#model.bookmark(revision);
      return;
    }
    const name = nameOf(metadata);
    if (fault === "watch-drops" && !this.#dropped && type === "MODIFIED" && random.integer(10) === 0) {
      this.#dropped = true;
      return;
    }
    this.#model.told({ type, name, revision });
    const what = this.#kind === "configmaps" ? (metadata.name ?? "") : `${this.#kind}/${name}`;
    revisions.seen(revision, what);
    trace.note(store.name, "told", `${type} ${what}@${revision}`);
  }
}

function nameOf({
  name = "",
  namespace = "",
}: {
  readonly name?: string;
  readonly namespace?: string;
}): string {
  return `${namespace}/${name}`;
}
