import { configMaps } from "@cortado/kinds/resources";
import type { Random } from "@cortado/std/random";
import { hasReason } from "@cortado/std/status";
import { Ledger, type State } from "../../checkers/ledger.ts";
import type { ActorPorts } from "./actor-ports.ts";
import type { Answer } from "./store.ts";

const namespace = "default";
const counter = "counter";
/** Refusals that say for sure that nothing was written. */
const certain = ["NotFound", "AlreadyExists", "Conflict"] as const;

/** Work comes in bursts: most of it at once, and then nothing for a while. */
export function pause(random: Random, ms: number): number {
  return random.integer(4) === 0 ? random.integer(ms * 4) : random.integer(30);
}

/** Writes a few ConfigMaps of its own and remembers what it was told. */
export class Writer {
  readonly #ports: ActorPorts;
  readonly #name: string;
  readonly ledger: Ledger;
  #written = 0;

  constructor(name: string, ports: ActorPorts) {
    this.#name = name;
    this.#ports = ports;
    this.ledger = new Ledger(ports.claims, ports.store.name);
  }

  async run(): Promise<void> {
    const { clock, random, signal } = this.#ports;
    while (!signal.aborted) {
      await clock.sleep(pause(random, 900), { signal });
      const name = `${this.#name}-${random.integer(5)}`;
      const states = this.ledger.mayBe(name);
      if (states.length > 1 || random.integer(5) === 0) await this.look(name);
      else if (states[0] === undefined) await this.#create(name);
      else if (random.integer(6) === 0) await this.#delete(name);
      else await this.#patch(name);
    }
  }

  /** Reads one, and holds it against what was acknowledged. */
  async look(name: string): Promise<void> {
    const { store, signal, revisions } = this.#ports;
    const answer = await store.ask(({ client }) => client.get(configMaps, { name, namespace, signal }));
    if (answer.kind === "unknown") return;
    if (answer.kind === "refused") {
      if (hasReason(answer.error, "NotFound")) this.ledger.looked(name, undefined);
      return;
    }
    const { metadata, data } = answer.result;
    revisions.seen(Number(metadata.resourceVersion), name);
    this.ledger.looked(name, data?.["n"]);
  }

  async #create(name: string): Promise<void> {
    const { store, signal, revisions } = this.#ports;
    const state = this.#next();
    const before = revisions.newest;
    const answer = await store.ask(({ client }) =>
      client.create(configMaps, { metadata: { name, namespace }, data: { n: state } }, { signal }),
    );
    this.#note(name, state, { answer, before });
  }

  async #patch(name: string): Promise<void> {
    const { store, signal, revisions } = this.#ports;
    const state = this.#next();
    const before = revisions.newest;
    const body = { data: { n: state } };
    const answer = await store.ask(({ client }) =>
      client.patch(configMaps, { name, namespace, type: "merge", body, signal }),
    );
    this.#note(name, state, { answer, before });
  }

  async #delete(name: string): Promise<void> {
    const { store, signal, trace } = this.#ports;
    const answer = await store.ask(({ client }) => client.delete(configMaps, { name, namespace, signal }));
    trace.note(store.name, `delete-${answer.kind}`, name);
    if (answer.kind === "done") this.ledger.is(name, undefined);
    else if (answer.kind === "refused" && hasReason(answer.error, "NotFound"))
      this.ledger.looked(name, undefined);
    else this.ledger.mayHaveBecome(name, undefined);
  }

  #note(
    name: string,
    state: State,
    {
      answer,
      before,
    }: { readonly answer: Answer<{ metadata: { resourceVersion: string } }>; readonly before: number },
  ): void {
    const { store, trace, revisions } = this.#ports;
    if (answer.kind === "done") {
      const revision = Number(answer.result.metadata.resourceVersion);
      trace.note(store.name, "write", `${name}=${state}@${revision}`);
      revisions.written(revision, name, before);
      this.ledger.is(name, state);
    } else {
      trace.note(
        store.name,
        `write-${answer.kind}`,
        `${name}=${state} ${answer.kind === "refused" ? answer.error.reason : ""}`,
      );
      const sure = answer.kind === "refused" && certain.some((reason) => hasReason(answer.error, reason));
      // Refused for a state that the ledger rules out: it was lost, or came back.
      if (sure && hasReason(answer.error, "AlreadyExists")) this.ledger.looked(name, "something");
      else if (sure && hasReason(answer.error, "NotFound")) this.ledger.looked(name, undefined);
      else this.ledger.mayHaveBecome(name, state);
    }
  }

  #next(): string {
    this.#written += 1;
    return String(this.#written);
  }
}

/** What all of a store's clerks together know of the counter. */
export type Count = { acknowledged: number; unknown: number };

/** Adds one to a counter that others count on too, by compare-and-swap. */
export async function runClerk(ports: ActorPorts & { readonly count: Count }): Promise<void> {
  const { clock, random, signal } = ports;
  while (!signal.aborted) {
    await clock.sleep(pause(random, 2_000), { signal });
    await addOne(ports);
  }
}

async function addOne({
  store,
  signal,
  count,
  revisions,
  trace,
  claims,
}: ActorPorts & { readonly count: Count }): Promise<void> {
  const known = count.acknowledged;
  const read = await store.ask(({ client }) => client.get(configMaps, { name: counter, namespace, signal }));
  if (read.kind === "refused" && hasReason(read.error, "NotFound")) {
    claims.check(known === 0, "updates", () => ({
      store: store.name,
      detail: `the counter is gone after ${known} counts`,
    }));
    await store.ask(({ client }) =>
      client.create(configMaps, { metadata: { name: counter, namespace }, data: { n: "0" } }, { signal }),
    );
    return;
  }
  if (read.kind !== "done") return;
  const { metadata, data } = read.result;
  const value = Number(data?.["n"]);
  revisions.seen(Number(metadata.resourceVersion), counter);
  claims.check(value >= known, "updates", () => ({
    store: store.name,
    detail: `the counter is ${value} after ${known} acknowledged counts`,
  }));
  const before = revisions.newest;
  count.unknown += 1;
  const object = {
    metadata: { name: counter, namespace, resourceVersion: metadata.resourceVersion },
    data: { n: String(value + 1) },
  };
  const write = await store.ask(({ client }) => client.update(configMaps, object, { signal }));
  if (write.kind === "unknown") return;
  if (write.kind === "refused") {
    if (hasReason(write.error, "Conflict")) count.unknown -= 1;
    return;
  }
  count.unknown -= 1;
  count.acknowledged += 1;
  const revision = Number(write.result.metadata.resourceVersion);
  revisions.written(revision, counter, before);
  trace.note(store.name, "count", `${value + 1}@${revision}`);
}

/** The counter when everything is at rest. */
export async function checkCount({
  store,
  signal,
  count,
  claims,
}: ActorPorts & { readonly count: Count }): Promise<void> {
  const read = await store.ask(({ client }) => client.get(configMaps, { name: counter, namespace, signal }));
  const value = read.kind === "done" ? Number(read.result.data?.["n"]) : 0;
  const { acknowledged, unknown } = count;
  claims.check(value >= acknowledged && value <= acknowledged + unknown, "updates", () => ({
    store: store.name,
    detail: `the counter is ${value} after ${acknowledged} acknowledged counts and ${unknown} of which nobody knows`,
  }));
}
