import { createHash } from "node:crypto";
import type { PodTemplateSpec } from "@cortado/kinds";

/** JSON with sorted keys, so that equal objects give equal text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(
      Object.entries(inner)
        .filter(([, field]) => field !== undefined)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}

// The alphabet of Kubernetes' SafeEncodeString: no vowels, so that no hash spells a word.
const letters = "bcdfghjklmnpqrstvwxz2456789";

/** Ten letters that name a template (and a collision count), as in `pod-template-hash`. */
export function templateHash(template: unknown, collisions = 0): string {
  const digest = createHash("sha256").update(canonical(template)).update(String(collisions)).digest();
  return [...digest.subarray(0, 10)].map((byte) => letters[byte % letters.length]).join("");
}

/** Are two pod templates the same but for the hash label that a controller added? */
export function sameTemplate(one: PodTemplateSpec | undefined, other: PodTemplateSpec | undefined): boolean {
  return canonical(withoutHash(one)) === canonical(withoutHash(other));
}

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  const { "pod-template-hash": _hash, ...labels } = template?.metadata?.labels ?? {};
  return { ...template, metadata: { labels, annotations: template?.metadata?.annotations ?? {} } };
}
