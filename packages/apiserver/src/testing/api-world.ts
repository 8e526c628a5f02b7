import { HeldClock } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { openMemoryStore } from "@cortado/store/memory";
import type { Store } from "@cortado/store";
import type { Tree } from "@cortado/kinds/tree";
import { createApiServer, type ApiServer, type ApiServerOptions } from "../apiserver.ts";
import type { ApiResponse, User, WatchEvent } from "../api.ts";

export const admin: User = { name: "admin", groups: ["system:masters", "system:authenticated"] };

export type Sent = {
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly user?: User;
  readonly signal?: AbortSignal;
};

/** An API server over a memory store on a held clock, spoken to without a network. */
export class ApiWorld implements AsyncDisposable {
  readonly clock: HeldClock;
  readonly store: Store;
  readonly server: ApiServer;
  readonly #stop: AbortController = new AbortController();

  constructor(parts: { readonly clock: HeldClock; readonly store: Store; readonly server: ApiServer }) {
    this.clock = parts.clock;
    this.store = parts.store;
    this.server = parts.server;
  }

  /** Sends an object and answers the object. */
  async send(
    method: string,
    path: string,
    sent: Sent = {},
  ): Promise<{ readonly status: number; readonly object: Tree; readonly response: ApiResponse }> {
    const response = await this.server.handle({
      method,
      path,
      user: sent.user ?? admin,
      signal: sent.signal ?? this.#stop.signal,
      form: "objects",
      headers: { "user-agent": "test/1", ...sent.headers },
      ...(sent.query === undefined ? {} : { query: sent.query }),
      ...(sent.body === undefined ? {} : { body: sent.body }),
    });
    return {
      status: response.status,
      object: (response.body.kind === "object" ? response.body.value : {}) as Tree,
      response,
    };
  }

  /** Sends and answers what goes over the wire. */
  async wire(
    method: string,
    path: string,
    sent: Sent = {},
  ): Promise<{ readonly status: number; readonly text: string; readonly response: ApiResponse }> {
    const body = typeof sent.body === "string" ? Buffer.from(sent.body) : sent.body;
    const response = await this.server.handle({
      method,
      path,
      user: sent.user ?? admin,
      signal: sent.signal ?? this.#stop.signal,
      form: "bytes",
      headers: { "user-agent": "test/1", ...sent.headers },
      ...(sent.query === undefined ? {} : { query: sent.query }),
      ...(body === undefined ? {} : { body }),
    });
    if (response.body.kind === "bytes")
      return { status: response.status, text: Buffer.from(response.body.bytes).toString(), response };
    if (response.body.kind !== "pieces") return { status: response.status, text: "", response };
    const pieces: Uint8Array[] = [];
    for await (const piece of response.body.pieces) pieces.push(piece);
    return { status: response.status, text: Buffer.concat(pieces).toString(), response };
  }

  /** Opens a watch; `next` answers its next event. */
  async watch(
    path: string,
    query: Readonly<Record<string, string>> = {},
  ): Promise<{ next(): Promise<WatchEvent | undefined>; stop(): void }> {
    const stop = new AbortController();
    const { response } = await this.send("GET", path, {
      query: { watch: "true", ...query },
      signal: stop.signal,
    });
    if (response.body.kind !== "watch") throw new Error(`no watch: ${JSON.stringify(response)}`);
    const events = response.body.events[Symbol.asyncIterator]();
    return {
      next: async () => (await events.next()).value as WatchEvent | undefined,
      stop: () => stop.abort(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.server[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

export async function startApiWorld(options: Partial<ApiServerOptions> = {}): Promise<ApiWorld> {
  const clock = new HeldClock();
  const store = options.store ?? (await openMemoryStore());
  const server = await createApiServer({
    store,
    clock,
    random: seededRandom(7),
    log: silentLog,
    metrics: newMetrics(),
    serviceNetwork: { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 },
    reservedAddresses: ["10.43.0.10"],
    ...options,
  });
  return new ApiWorld({ clock, store, server });
}
