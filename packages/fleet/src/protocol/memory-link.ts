import { StatusError } from "@cortado/std/status";
import type { AgentLink, FromAgent, FromHub, HubLink, Link } from "./protocol.ts";

/** Both ends of one connection in memory: what one sends the other reads, as after JSON, in order. Disposing either ends both. */
export function linkPair(): { readonly agent: AgentLink; readonly hub: HubLink } {
  const toHub = new Queue<FromAgent | Uint8Array>();
  const toAgent = new Queue<FromHub | Uint8Array>();
  const close = (): Promise<void> => {
    toHub.end();
    toAgent.end();
    return Promise.resolve();
  };
  return { agent: endOf(toAgent, toHub, close), hub: endOf(toHub, toAgent, close) };
}

function endOf<In, Out>(
  inbox: Queue<In | Uint8Array>,
  outbox: Queue<Out | Uint8Array>,
  close: () => Promise<void>,
): Link<In, Out> {
  return {
    send: (message) => outbox.put(JSON.parse(JSON.stringify(message)) as Out),
    sendBytes: (bytes) => outbox.put(Uint8Array.from(bytes)),
    messages: () => inbox.read(),
    [Symbol.asyncDispose]: close,
  };
}

class Queue<Item> {
  readonly #items: Item[] = [];
  #isOver = false;
  #wake: () => void = () => undefined;

  put(item: Item): Promise<void> {
    if (this.#isOver)
      return Promise.reject(new StatusError("ServiceUnavailable", "the connection has ended"));
    this.#items.push(item);
    this.#wake();
    return Promise.resolve();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *read(): AsyncIterable<Item> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
