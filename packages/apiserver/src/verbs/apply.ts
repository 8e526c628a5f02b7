import { StatusError } from "@cortado/std/status";
import type { Call } from "../server.ts";
import type { Outcome } from "./outcome.ts";

/** Server-side apply. */
export function applyOneObject(_call: Call, _patch: unknown): Promise<Outcome> {
  throw new StatusError("NotImplemented", "server-side apply comes with the schemas");
}
