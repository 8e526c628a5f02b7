/** Every reason we give, with its HTTP code (kubernetes/apimachinery, pkg/apis/meta/v1/types.go, StatusReason). */
export const httpCodes = {
  BadRequest: 400,
  Unauthorized: 401,
  PaymentRequired: 402,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  NotImplemented: 501,
  BadGateway: 502,
  ServiceUnavailable: 503,
  Timeout: 504,
  InsufficientStorage: 507,
} as const;

export type StatusReason = keyof typeof httpCodes;

export type StatusCause = { readonly reason?: string; readonly message?: string; readonly field?: string };

/** What a Status says beside its message; fields are Kubernetes' own. */
export type StatusDetails = {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
};

/** A `v1.Status` as it goes over the wire. */
export type Status = {
  readonly kind: "Status";
  readonly apiVersion: "v1";
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
};

export type StatusErrorOptions = ErrorOptions & {
  readonly details?: StatusDetails;
  /** Goes into the Status' list metadata: the continue token of a 410. */
  readonly metadata?: Readonly<Record<string, unknown>>;
};

/**
 * The one error for the world. The message names the thing and what to do next; secrets and internals stay in the cause,
 * which is logged and never sent.
 */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly reason: StatusReason;
  readonly details: StatusDetails | undefined;
  readonly metadata: Readonly<Record<string, unknown>>;

  constructor(reason: StatusReason, message: string, options: StatusErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.reason = reason;
    this.details = options.details;
    this.metadata = options.metadata ?? {};
  }

  get code(): number {
    return httpCodes[this.reason];
  }

  toStatus(): Status {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.metadata,
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** True for a StatusError with one of these reasons. */
export function hasReason(error: unknown, ...reasons: readonly StatusReason[]): error is StatusError {
  return error instanceof StatusError && reasons.includes(error.reason);
}

/** Any thrown thing as a StatusError; what is not one becomes an InternalError whose text tells nothing of its cause. */
export function toStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return new StatusError("InternalError", "an internal error occurred; the server's log has its cause", {
    cause: error,
  });
}

/** Reads a Status from the wire back into the error it was. */
export function fromStatus(status: unknown): StatusError {
  const read = (typeof status === "object" && status !== null ? status : {}) as Partial<Status>;
  const reason = reasonOf(read);
  const options: StatusErrorOptions = {
    ...(read.details === undefined ? {} : { details: read.details }),
    ...(read.metadata === undefined ? {} : { metadata: read.metadata }),
  };
  return new StatusError(
    reason,
    read.message ?? `the server answered ${read.code ?? "with an error"}`,
    options,
  );
}

function reasonOf(status: Partial<Status>): StatusReason {
  const { reason, code } = status;
  if (reason !== undefined && Object.hasOwn(httpCodes, reason)) return reason as StatusReason;
  const byCode = Object.entries(httpCodes).find(([, known]) => known === code);
  return (byCode?.[0] ?? "InternalError") as StatusReason;
}

/** The text of any thrown thing, for logs and conditions. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
