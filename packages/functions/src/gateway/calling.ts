import type { HttpRequest } from "@cortado/std/http";
import { DEFAULT_NAMESPACE } from "../limits.ts";

// Hop-by-hop headers end here (RFC 9110, section 7.6.1), and so does the platform's own password.
export const droppedHeaders: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "host",
]);

export type Where = { readonly name: string; readonly namespace: string };

/** NAME.NAMESPACE splits at the last dot; without one the default namespace is meant. */
export function splitName(called: string, namespace?: string): Where {
  if (namespace !== undefined) return { name: called, namespace };
  const dot = called.lastIndexOf(".");
  return dot < 0
    ? { name: called, namespace: DEFAULT_NAMESPACE }
    : { name: called.slice(0, dot), namespace: called.slice(dot + 1) };
}

export function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

export function forwarded(request: HttpRequest): Record<string, string> {
  const kept = Object.entries(request.headers).filter(([name]) => !droppedHeaders.has(name));
  const host = request.headers["host"];
  return {
    ...(host === undefined ? {} : { "x-forwarded-host": host }),
    "x-forwarded-for": request.remote,
    ...Object.fromEntries(kept),
  };
}
