import { StatusError, toStatusError } from "./status.ts";

/** A request as a room sees it, whatever server took it. */
export type HttpRequest = {
  readonly method: string;
  /** Without the query; percent-encoding as it came. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case; of a repeated one the values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The peer's address with its port. */
  readonly remote: string;
  /** The whole body. @throws StatusError "RequestEntityTooLarge" beyond the limit */
  body(options: { readonly bytesMax: number }): Promise<Uint8Array>;
  /** The body as it comes, for one reader, instead of `body`. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Aborts when the caller has gone away. */
  readonly signal: AbortSignal;
};

export type HttpAnswer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
};

export type HttpHandler = (request: HttpRequest) => Promise<HttpAnswer>;

export function jsonAnswer(status: number, value: unknown): HttpAnswer {
  return { status, headers: { "content-type": "application/json" }, body: `${JSON.stringify(value)}\n` };
}

export function textAnswer(status: number, text: string): HttpAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body: text };
}

/** The answer that an error stands for: its Status, and when to come back if it says so. */
export function errorAnswer(error: unknown): HttpAnswer {
  const status = toStatusError(error);
  const { headers, ...rest } = jsonAnswer(status.code, status.toStatus());
  const seconds = status.details?.retryAfterSeconds;
  return {
    ...rest,
    headers: { ...headers, ...(seconds === undefined ? {} : { "retry-after": String(seconds) }) },
  };
}

/** A JSON body. @throws StatusError "BadRequest" that says what is wrong with it */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch (cause) {
    throw new StatusError(
      "BadRequest",
      `the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}
