import type { Connection, Network } from "@cortado/std/net";
import { never, type Life } from "./files.ts";

/**
 * What a process uses of something that outlives it (its containers): calls of a dead one do nothing, and answers and news never
 * reach it.
 */
export function mortal<Thing extends object>(thing: Thing, life: Life): Thing {
  return new Proxy(thing, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return (...given: readonly unknown[]) => {
        if (!life.alive) return never();
        const words = given.map((word) =>
          typeof word === "function" ? whileAlive(word as Callback, life) : word,
        );
        const answer = (value as Callback).apply(target, words);
        if (!(answer instanceof Promise)) return answer;
        return new Promise((resolve, reject) => {
          answer.then(
            (result) => life.alive && resolve(result),
            (error: unknown) => life.alive && reject(error as Error),
          );
        });
      };
    },
  });
}

type Callback = (...words: readonly unknown[]) => unknown;

function whileAlive(callback: Callback, life: Life): Callback {
  return (...words) => (life.alive ? callback(...words) : undefined);
}

/** The network as one process has it: when it dies, its listeners go and its connections end at the other side. */
export class MortalNetwork implements Network {
  readonly #network: Network;
  readonly #life: Life;
  readonly #listening: AsyncDisposable[] = [];
  readonly #connections = new Set<Connection>();

  constructor(network: Network, life: Life) {
    this.#network = network;
    this.#life = life;
  }

  async listen(
    address: Parameters<Network["listen"]>[0],
    accept: (connection: Connection) => void,
  ): ReturnType<Network["listen"]> {
    if (!this.#life.alive) return never();
    const listening = await this.#network.listen(address, (connection) => {
      this.#connections.add(connection);
      accept(connection);
    });
    if (!this.#life.alive) await listening[Symbol.asyncDispose]();
    else this.#listening.push(listening);
    return listening;
  }

  dial(...words: Parameters<Network["dial"]>): ReturnType<Network["dial"]> {
    return this.#life.alive ? this.#network.dial(...words) : never();
  }

  die(): void {
    for (const listening of this.#listening) void listening[Symbol.asyncDispose]();
    for (const connection of this.#connections) connection.destroy();
    this.#connections.clear();
  }
}
