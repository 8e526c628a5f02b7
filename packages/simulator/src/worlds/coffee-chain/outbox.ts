import { EventChecker } from "../../checkers/events.ts";
import type { ActorPorts } from "./actor-ports.ts";
import { pause } from "./writers.ts";

/** A shop's outbox that hands orders to the journal until they are taken, and a forwarder that reads them once. */
export class Outbox {
  readonly #ports: ActorPorts;
  readonly events: EventChecker;
  #made = 0;

  constructor(ports: ActorPorts) {
    this.#ports = ports;
    this.events = new EventChecker(ports.claims, ports.store.name);
  }

  async sell(): Promise<void> {
    const { clock, random, signal } = this.#ports;
    while (!signal.aborted) {
      await clock.sleep(pause(random, 1_500), { signal });
      this.#made += 1;
      await this.#handOver(`order-${this.#made}`);
    }
  }

  async forward(): Promise<void> {
    const { clock, random, signal, store, trace } = this.#ports;
    while (!signal.aborted) {
      await clock.sleep(500 + random.integer(3_000), { signal });
      const after = this.events.after;
      const answer = await store.ask(({ journal }) => journal.read({ after, limit: 50 }));
      if (answer.kind !== "done") continue;
      this.events.forwarded(answer.result);
      if (answer.result.length > 0)
        trace.note(store.name, "forwarded", `${answer.result.length} after ${after}`);
    }
  }

  async checkAll(): Promise<void> {
    const answer = await this.#ports.store.ask(({ journal }) => journal.read({ after: 0, limit: 1_000_000 }));
    if (answer.kind === "done") this.events.atRest(answer.result);
  }

  async #handOver(id: string): Promise<void> {
    const { clock, random, signal, store, trace } = this.#ports;
    for (;;) {
      const event = {
        id,
        kind: "order" as const,
        at: new Date(clock.nowMs()).toISOString(),
        payload: { amount: 350 },
      };
      const answer = await store.ask(({ journal }) => journal.append([event]));
      trace.note(store.name, `event-${answer.kind}`, id);
      if (answer.kind === "done") {
        this.events.acknowledged(id);
        return;
      }
      await clock.sleep(random.integer(400), { signal });
    }
  }
}
