import type { Clock } from "@cortado/std/clock";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import type { AgentLink, FromAgent, FromHub, HubLink, Link } from "@cortado/fleet/protocol";

/** One connection over a line that takes its time, and may be cut or fall silent. */
export type Call = {
  readonly agent: AgentLink;
  readonly hub: HubLink;
  /** The line is broken, and both ends hear of it. */
  readonly cut: () => void;
  /** From now on nothing arrives, and nobody is told. */
  readonly silence: () => void;
};

type Line = { readonly clock: Clock; readonly random: Random; readonly latencyMs: number };

/** Both ends of a connection; messages keep their order, and take as long as the line takes. */
export function newCall(line: Line): Call {
  const [up, down] = [new Pipe<FromAgent | Uint8Array>(line), new Pipe<FromHub | Uint8Array>(line)];
  const end = (): void => {
    up.end();
    down.end();
  };
  return {
    agent: endOf<FromHub, FromAgent>(down, up, end),
    hub: endOf<FromAgent, FromHub>(up, down, end),
    cut: end,
    silence() {
      up.silence();
      down.silence();
    },
  };
}

function endOf<In, Out>(
  inbox: Pipe<In | Uint8Array>,
  outbox: Pipe<Out | Uint8Array>,
  end: () => void,
): Link<In, Out> {
  return {
    send: (message) => outbox.put(JSON.parse(JSON.stringify(message)) as Out),
    sendBytes: (bytes) => outbox.put(Uint8Array.from(bytes)),
    messages: () => inbox.read(),
    [Symbol.asyncDispose]() {
      // Who hangs up reads no more; the other end hears of it as fast as the line is.
      inbox.close();
      end();
      return Promise.resolve();
    },
  };
}

class Pipe<Item> {
  readonly #line: Line;
  readonly #items: Item[] = [];
  #arrivalMs = 0;
  #isEnding = false;
  #isOver = false;
  #isSilent = false;
  #wake: () => void = () => undefined;

  constructor(line: Line) {
    this.#line = line;
  }

  put(item: Item): Promise<void> {
    if (this.#isEnding)
      return Promise.reject(new StatusError("ServiceUnavailable", "the connection has ended"));
    this.#later(() => this.#items.push(item));
    return Promise.resolve();
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#later(() => (this.#isOver = true));
  }

  close(): void {
    this.#isOver = true;
    this.#items.length = 0;
    this.#wake();
  }

  silence(): void {
    this.#isSilent = true;
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

  #later(act: () => void): void {
    const { clock, random, latencyMs } = this.#line;
    const wayMs = Math.ceil(latencyMs / 2) + random.integer(Math.ceil(latencyMs / 2) + 1);
    this.#arrivalMs = Math.max(this.#arrivalMs, clock.monotonicMs() + wayMs);
    clock.after(this.#arrivalMs - clock.monotonicMs(), () => {
      if (this.#isSilent) return;
      act();
      this.#wake();
    });
  }
}
