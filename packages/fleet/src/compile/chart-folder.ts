import { createHash } from "node:crypto";

/** Where a bundle keeps a chart of the repository that lies outside of its directory. */
export function chartFolder(chart: string): string {
  return `.chart/${createHash("sha256").update(chart).digest("hex").slice(0, 16)}`;
}
