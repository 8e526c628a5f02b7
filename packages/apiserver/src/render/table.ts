import type { Column, KindInfo } from "@cortado/kinds/kind-info";
import { plainTable } from "@cortado/kinds/columns";
import { at, type Tree } from "@cortado/kinds/tree";

export type TableOptions = { readonly includeObject: string; readonly nowMs: number };

export function columnsOf(kind: KindInfo): readonly Column[] {
  return (kind.table ?? plainTable).columns;
}

/** One row of a Table, with as much of the object as was asked for. */
export function rowOf(object: Tree, kind: KindInfo, { includeObject, nowMs }: TableOptions): Tree {
  const cells = (kind.table ?? plainTable).cells(object, { nowMs });
  if (includeObject === "None") return { cells };
  return { cells, object: includeObject === "Object" ? object : metadataOf(object) };
}

export function metadataOf(object: Tree): Tree {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object["metadata"] };
}

export function tableHead(kind: KindInfo, metadata: Tree): Tree {
  return { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: columnsOf(kind) };
}

/** A table with one row. */
export function tableOf(
  object: Tree,
  kind: KindInfo,
  options: TableOptions & { readonly hasHead: boolean },
): Tree {
  const head = tableHead(kind, { resourceVersion: at(object, "metadata", "resourceVersion") });
  const shown = options.hasHead ? head : { ...head, columnDefinitions: null };
  return { ...shown, rows: [rowOf(object, kind, options)] };
}
