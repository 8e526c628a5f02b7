import { sha256Of } from "../sources/blobs.ts";

/** Forty-eight bits of a text's SHA-256, to see that it is another than before: two of one store with the same are not met with. */
export function shortSum(text: string): number {
  return Number.parseInt(sha256Of(new TextEncoder().encode(text)).slice(0, 12), 16);
}
