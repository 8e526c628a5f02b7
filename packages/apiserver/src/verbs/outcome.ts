import type { Revision } from "@cortado/store";
import type { Status } from "@cortado/std/status";
import type { KindInfo } from "@cortado/kinds/kind-info";
import type { Tree } from "@cortado/kinds/tree";
import type { WatchEventType } from "../api.ts";
import type { StoredObject } from "../storage/records.ts";

/** One change as a watcher sees it. */
export type Change =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly stored: StoredObject }
  | { readonly type: "BOOKMARK"; readonly revision: Revision; readonly isInitialEnd: boolean }
  | { readonly type: "ERROR"; readonly status: Status };

export type ChangeType = WatchEventType;

/** What a verb answers, before it is written in the form that the client asked for. */
export type Outcome =
  | {
      readonly kind: "object";
      readonly code: number;
      readonly object: Tree;
      readonly stored?: StoredObject;
      readonly of?: KindInfo;
    }
  | { readonly kind: "status"; readonly status: Status }
  | {
      readonly kind: "list";
      readonly items: readonly StoredObject[];
      readonly revision: Revision;
      readonly next: string;
      readonly remaining: number | undefined;
    }
  | { readonly kind: "watch"; readonly changes: AsyncIterable<Change> };

/** A Status for what went well (apimachinery, DELETE's answer). */
export function successStatus(details: Status["details"]): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    ...(details === undefined ? {} : { details }),
  };
}
