import { listAt, textAt, type Tree } from "@cortado/kinds/tree";

/** Does an object do what it is there for? `message` says why not, in words for a person; empty when it does. */
export type Readiness = { readonly ready: boolean; readonly message: string };

export const isReady: Readiness = { ready: true, message: "" };

export function notReady(message: string): Readiness {
  return { ready: false, message };
}

/** The condition of a type; undefined when there is none. */
export function conditionOf(object: Tree, type: string): unknown {
  return listAt(object, "status", "conditions").find((one) => textAt(one, "type") === type);
}

/** A condition as a sentence: its message, or its reason, or its type. */
export function conditionText(condition: unknown): string {
  const [type, reason, message] = ["type", "reason", "message"].map((key) => textAt(condition, key));
  if (message !== "" && message !== undefined) return reason === "" ? message : `${reason}: ${message}`;
  return `${type} is ${textAt(condition, "status")}${reason === "" ? "" : ` (${reason})`}`;
}
