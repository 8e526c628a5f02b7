import type { Client } from "@cortado/client";
import type { Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { StatusError, toStatusError } from "@cortado/std/status";
import type { DeployOptions } from "../../protocol/protocol.ts";
import type { KindFinder } from "./kind-finder.ts";
import { itemText } from "./place.ts";
import type { Owned, Records } from "./record.ts";

/** What applying works with. */
export type ApplyPorts = {
  /** With the agent's own rights: for records. */
  readonly client: Client;
  /** With the rights that the bundle has: for its objects. */
  readonly as: Client;
  readonly finder: KindFinder;
  readonly records: Records;
  readonly clock: Clock;
  readonly log: Log;
};

export type BundleToApply = {
  readonly name: string;
  readonly deploymentId: string;
  readonly forceSyncGeneration: number;
  readonly options: DeployOptions;
  /** Parsed, and each proven to be what its hash says. */
  readonly objects: readonly Tree[];
  /** Bundles whose objects are this one's now. */
  readonly replaces?: readonly string[];
};

/** Where the client finds it. */
export function whereOf({ name, namespace }: Owned): { readonly name: string; readonly namespace?: string } {
  return namespace === "" ? { name } : { name, namespace };
}

/** The same error with the object in front. */
export function about(item: Owned, error: unknown, more = ""): StatusError {
  const { reason, message } = toStatusError(error);
  return new StatusError(reason, `${itemText(item)}: ${message}${more}`, { cause: error });
}
