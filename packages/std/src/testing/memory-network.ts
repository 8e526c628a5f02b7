import { addressText, type Address, type Connection, type ConnectionEvents, type Network } from "../net.ts";
import { StatusError } from "../status.ts";

/** A network in memory. Links are whole and ordered until `cut`; nothing leaves the process. */
export class MemoryNetwork implements Network {
  readonly #listeners = new Map<string, (connection: Connection) => void>();
  readonly #ends = new Set<Connection>();
  #nextPort = 40_000;
  #cut = false;

  listen(address: Address, accept: (connection: Connection) => void): ReturnType<Network["listen"]> {
    const bound =
      "port" in address && address.port === 0 ? { host: address.host, port: (this.#nextPort += 1) } : address;
    const key = addressText(bound);
    if (this.#listeners.has(key)) return Promise.reject(new StatusError("Conflict", `${key} is in use`));
    this.#listeners.set(key, accept);
    return Promise.resolve({
      address: bound,
      [Symbol.asyncDispose]: () => {
        this.#listeners.delete(key);
        return Promise.resolve();
      },
    });
  }

  dial(address: Address): Promise<Connection> {
    const accept = this.#listeners.get(addressText(address));
    if (accept === undefined || this.#cut)
      return Promise.reject(new StatusError("ServiceUnavailable", `${addressText(address)} does not answer`));
    const [near, far] = connectionPair();
    this.#ends.add(near).add(far);
    accept(far);
    return Promise.resolve(near);
  }

  /** Ends every connection and refuses new ones until `heal`. */
  cut(): void {
    this.#cut = true;
    for (const end of this.#ends) end.destroy();
    this.#ends.clear();
  }

  heal(): void {
    this.#cut = false;
  }
}

type End = Connection & { deliver(bytes: Uint8Array): void; hangUp(): void };

/** Two ends of one stream. */
export function connectionPair(): readonly [Connection, Connection] {
  const near: End = newEnd(() => far);
  const far: End = newEnd(() => near);
  return [near, far];
}

function newEnd(other: () => End): End {
  let events: ConnectionEvents | undefined;
  let waiting: Uint8Array[] = [];
  let paused = false;
  let closed = false;
  const flush = (): void => {
    while (events !== undefined && !paused && waiting.length > 0) events.data(waiting.shift() as Uint8Array);
  };
  const hangUp = (): void => {
    if (closed) return;
    closed = true;
    queueMicrotask(() => events?.closed(undefined));
  };
  return {
    remote: "memory",
    handle(next) {
      events = next;
      queueMicrotask(flush);
      if (closed) queueMicrotask(() => next.closed(undefined));
    },
    write(bytes) {
      if (!closed) other().deliver(bytes);
      return true;
    },
    bufferedBytes: 0,
    pause: () => void (paused = true),
    resume() {
      paused = false;
      flush();
    },
    end() {
      queueMicrotask(() => other().hangUp());
      hangUp();
    },
    destroy() {
      waiting = [];
      other().hangUp();
      hangUp();
    },
    deliver(bytes) {
      waiting.push(bytes);
      queueMicrotask(flush);
    },
    hangUp,
  };
}
