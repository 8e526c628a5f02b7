/** Who asks. */
export type User = {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
};

/** A request without its transport: from HTTP, or made by a caller in this process. */
export type ApiRequest = {
  readonly method: string;
  /** As on the wire, with its percent-escapes, without the query. */
  readonly path: string;
  readonly query?: URLSearchParams | Readonly<Record<string, string>>;
  /** Names in small letters. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly user: User;
  /** Bytes are decoded by content-type; anything else is the object itself, and the server never writes into it. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
  /** `objects`: answers are objects, nothing is encoded. `bytes`: answers are what goes over the wire. */
  readonly form: "bytes" | "objects";
};

export type WatchEventType = "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
export type WatchEvent = { readonly type: WatchEventType; readonly object: unknown };

export type ApiBody =
  | { readonly kind: "none" }
  /** An object; frozen, shared with other readers. */
  | { readonly kind: "object"; readonly value: unknown }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** Pieces of a long answer; between two pieces the event loop gets a turn. */
  | { readonly kind: "pieces"; readonly pieces: AsyncIterable<Uint8Array> }
  /** A watch in `objects` form; ends when the request's signal aborts. */
  | { readonly kind: "watch"; readonly events: AsyncIterable<WatchEvent> };

export type ApiResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Texts for Warning headers (code 299), which may be many. */
  readonly warnings?: readonly string[];
  readonly body: ApiBody;
};
