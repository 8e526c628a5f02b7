import type { LabelSelector } from "./kinds.ts";

/**
 * Does a `metav1.LabelSelector` select these labels? An absent selector selects nothing, an empty one everything
 * (kubernetes/apimachinery, pkg/apis/meta/v1/helpers.go, LabelSelectorAsSelector).
 */
export function selects(
  selector: LabelSelector | undefined,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  if (selector === undefined) return false;
  const has = labels ?? {};
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (has[key] !== value) return false;
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = Object.hasOwn(has, key) ? has[key] : undefined;
    if (operator === "In") return value !== undefined && values.includes(value);
    if (operator === "NotIn") return value === undefined || !values.includes(value);
    return operator === "Exists" ? value !== undefined : value === undefined;
  });
}
