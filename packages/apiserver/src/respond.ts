import { toStatusError, type StatusError } from "@cortado/std/status";
import type { ApiRequest, ApiResponse } from "./api.ts";
import { encodeAs } from "./render/render.ts";

/** An error as an answer, in the form of the request. */
export function errorResponse(request: Pick<ApiRequest, "form">, thrown: unknown): ApiResponse {
  const error: StatusError = toStatusError(thrown);
  const status = error.toStatus();
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (error.details?.retryAfterSeconds !== undefined)
    headers["retry-after"] = String(error.details.retryAfterSeconds);
  if (request.form === "objects")
    return { status: error.code, headers, body: { kind: "object", value: status } };
  return {
    status: error.code,
    headers,
    body: { kind: "bytes", bytes: encodeAs(status, { encoding: "json", isPretty: false }) },
  };
}

export function textResponse(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse {
  return {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", ...headers },
    body: { kind: "bytes", bytes: Buffer.from(text) },
  };
}

export function jsonResponse(
  request: Pick<ApiRequest, "form">,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse {
  if (request.form === "objects") return { status: 200, headers, body: { kind: "object", value } };
  const bytes = encodeAs(value, { encoding: "json", isPretty: false });
  return {
    status: 200,
    headers: { "content-type": "application/json", ...headers },
    body: { kind: "bytes", bytes },
  };
}
