import { hash } from "node:crypto";

/** Forty-eight bits of a text's SHA-256, to see that it is another than before: two of one store with the same are not met with. */
export function shortSum(text: string): number {
  return Number.parseInt(hash("sha256", text, "hex").slice(0, 12), 16);
}
