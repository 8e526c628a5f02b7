import { StatusError, type StatusCause } from "@cortado/std/status";

/** Why a field is refused, with upstream's words (apimachinery, pkg/util/validation/field/errors.go). */
export const fieldErrorTypes = {
  Required: "Required value",
  Invalid: "Invalid value",
  NotSupported: "Unsupported value",
  Duplicate: "Duplicate value",
  Forbidden: "Forbidden",
  TooLong: "Too long",
  TooMany: "Too many",
  NotFound: "Not found",
  TypeInvalid: "Invalid value",
  InternalError: "Internal error",
} as const;

export type FieldErrorType = keyof typeof fieldErrorTypes;

export type FieldError = {
  readonly type: FieldErrorType;
  readonly field: string;
  readonly value?: unknown;
  readonly detail?: string;
};

export function required(field: string, detail?: string): FieldError {
  return { type: "Required", field, ...(detail === undefined ? {} : { detail }) };
}

export function invalid(field: string, value: unknown, detail: string): FieldError {
  return { type: "Invalid", field, value: value === undefined ? null : value, detail };
}

export function forbidden(field: string, detail: string): FieldError {
  return { type: "Forbidden", field, detail };
}

export function duplicate(field: string, value: unknown): FieldError {
  return { type: "Duplicate", field, value };
}

export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const names = supported.toSorted().map((name) => JSON.stringify(name));
  return { type: "NotSupported", field, value, detail: `supported values: ${names.join(", ")}` };
}

export function tooLong(field: string, bytesMax: number): FieldError {
  return { type: "TooLong", field, detail: `may not be more than ${bytesMax} bytes` };
}

/** `Invalid value: "x": why`. */
export function errorBody(error: FieldError): string {
  const words = fieldErrorTypes[error.type];
  const value = "value" in error && error.value !== undefined ? `: ${valueText(error.value)}` : "";
  return `${words}${value}${error.detail === undefined || error.detail === "" ? "" : `: ${error.detail}`}`;
}

export function errorText(error: FieldError): string {
  return `${error.field}: ${errorBody(error)}`;
}

function valueText(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "bigint" ? inner.toString() : inner,
  );
}

type InvalidKind = { readonly group: string; readonly kind: string };

/** The 422 of an object with these problems. */
export function invalidObject(kind: InvalidKind, name: string, errors: readonly FieldError[]): StatusError {
  const texts = [...new Set(errors.map(errorText))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  const causes: StatusCause[] = errors.map((error) => ({
    reason: `FieldValue${error.type}`,
    message: errorBody(error),
    field: error.field,
  }));
  const message = `${kindText(kind)} ${JSON.stringify(name)} is invalid: ${list}`;
  return new StatusError("Invalid", message, {
    details: { name, ...(kind.group === "" ? {} : { group: kind.group }), kind: kind.kind, causes },
  });
}

/** `Deployment.apps`: how Invalid messages name a kind. */
function kindText(kind: { readonly group: string; readonly kind: string }): string {
  return kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
}
