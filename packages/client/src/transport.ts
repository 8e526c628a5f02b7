/** One call of the Kubernetes API, before any encoding. */
export type TransportRequest = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Such as "/apis/apps/v1/namespaces/coffee-shop/deployments/order"; its segments are percent-encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly contentType?: string;
  readonly body?: unknown;
  readonly signal: AbortSignal;
};

/** `body` is the parsed answer: an object, a list, or a `v1.Status`. */
export type TransportResponse = { readonly status: number; readonly body: unknown };

export type WatchEvent = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
};

/** How a client reaches an API server: over HTTP, or by a direct call when both live in one process. */
export interface Transport {
  /** Answers whatever the server said. @throws StatusError "ServiceUnavailable" when no server answers */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Ends when the server ends the watch or the signal aborts. @throws StatusError as the server's Status says */
  watch(request: TransportRequest): AsyncIterable<WatchEvent>;
}
