import type { KindInfo } from "@cortado/kinds/kind-info";
import { fieldOf, treeAt, type Tree } from "@cortado/kinds/tree";

export type Managing = {
  readonly kind: KindInfo;
  readonly next: Tree;
  readonly current: Tree | undefined;
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
};

/** A new object's managed fields are the server's to write. */
export function resetManaged(object: Tree): void {
  delete treeAt(object, "metadata")["managedFields"];
}

export function manageUpdate({ next, current }: Managing): void {
  const kept = fieldOf(treeAt(current, "metadata"), "managedFields");
  const meta = treeAt(next, "metadata");
  if (kept === undefined) delete meta["managedFields"];
  else meta["managedFields"] = kept;
}
