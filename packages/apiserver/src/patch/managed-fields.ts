import { toTime } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import { fieldOf, growTree, listAt, setField, textAt, type Tree } from "@cortado/kinds/tree";
import { UPDATE_MANAGERS_MAX } from "../limits.ts";
import {
  intersectSets,
  isEmptySet,
  leaf,
  makeSet,
  noFields,
  pathTexts,
  readSet,
  sameSets,
  subtractSets,
  unionSets,
  writeSet,
  type FieldSet,
} from "./field-set.ts";
import { changedOrRemoved, compare, mergeApplied, pruneFields, rootSchema, setOf } from "./typed.ts";

/** One entry of metadata.managedFields. */
type Manager = {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly set: FieldSet;
};

export type Managing = {
  readonly kind: KindInfo;
  readonly next: Tree;
  readonly current: Tree | undefined;
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
};

// The server's own fields belong to nobody (apimachinery, managedfields/internal/stripmeta.go).
const systemFields: FieldSet = makeSet(false, [
  ["f:apiVersion", leaf],
  ["f:kind", leaf],
  [
    "f:metadata",
    makeSet(
      true,
      [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
      ].map((name) => [`f:${name}`, leaf] as const),
    ),
  ],
]);

function ownable(set: FieldSet): FieldSet {
  const meta = set.children.get("f:metadata");
  const children = new Map(set.children);
  // managedFields may have been compared item by item, so the whole branch goes.
  if (meta !== undefined)
    children.set(
      "f:metadata",
      makeSet(
        meta.isOwned,
        [...meta.children].filter(([key]) => key !== "f:managedFields"),
      ),
    );
  return subtractSets({ isOwned: false, children }, systemFields);
}

function readManagers(object: Tree | undefined): readonly Manager[] {
  return listAt(object, "metadata", "managedFields").flatMap((entry) => {
    const operation = textAt(entry, "operation");
    if (operation !== "Apply" && operation !== "Update") return [];
    return [
      {
        manager: textAt(entry, "manager"),
        operation,
        apiVersion: textAt(entry, "apiVersion"),
        subresource: textAt(entry, "subresource"),
        time: textAt(entry, "time"),
        set: readSet(fieldOf(entry, "fieldsV1")),
      },
    ];
  });
}

function writeManagers(object: Tree, managers: readonly Manager[]): void {
  const meta = growTree(object, "metadata");
  const kept = managers.filter(({ set }) => !isEmptySet(set));
  if (kept.length === 0) delete meta["managedFields"];
  else setField(meta, "managedFields", kept.map(writeManager));
}

function writeManager({ manager, operation, apiVersion, subresource, time, set }: Manager): Tree {
  return {
    manager,
    operation,
    apiVersion,
    ...(time === "" ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1: writeSet(set),
    ...(subresource === "" ? {} : { subresource }),
  };
}

/** A new object's managed fields are the server's to write. */
export function resetManaged(object: Tree): void {
  const meta = fieldOf(object, "metadata");
  if (typeof meta === "object" && meta !== null) delete (meta as Tree)["managedFields"];
}

// A client may take the notes away by writing one empty entry, and may rewrite them; anything else keeps what is there.
function baseManagers(next: Tree, current: Tree | undefined): readonly Manager[] {
  const given = listAt(next, "metadata", "managedFields");
  if (given.length === 1 && textAt(given[0], "manager") === "" && textAt(given[0], "operation") === "")
    return [];
  const read = readManagers(next);
  return read.length > 0 ? read : readManagers(current);
}

/** Notes an update: its fields become its own, and nobody else's. Changes `next` in place. */
export function manageUpdate({ kind, next, current, manager, subresource, nowMs }: Managing): void {
  const managers = baseManagers(next, current);
  const difference = compare(current ?? {}, next, rootSchema(kind));
  const changed = ownable(difference.changed);
  const touched = ownable(changedOrRemoved(difference));
  const apiVersion = apiVersionText(kind);
  const isMine = (one: Manager): boolean =>
    one.operation === "Update" &&
    one.manager === manager &&
    one.apiVersion === apiVersion &&
    one.subresource === subresource;
  const mine = managers.find(isMine);
  const others = managers
    .filter((one) => one !== mine)
    .map((one) => ({ ...one, set: subtractSets(one.set, touched) }));
  const before = mine?.set ?? noFields;
  const after = unionSets(subtractSets(before, ownable(difference.removed)), changed);
  const time = mine !== undefined && sameSets(before, after) ? mine.time : toTime(nowMs);
  writeManagers(
    next,
    foldOld([...others, { manager, operation: "Update", apiVersion, subresource, time, set: after }]),
  );
}

function foldOld(managers: readonly Manager[]): readonly Manager[] {
  const updates = managers
    .filter(({ operation, set }) => operation === "Update" && !isEmptySet(set))
    .toSorted((one, other) => (one.time < other.time ? -1 : 1));
  if (updates.length <= UPDATE_MANAGERS_MAX) return managers;
  const old = updates.slice(0, updates.length - UPDATE_MANAGERS_MAX + 1);
  const newest = old.at(-1);
  if (newest === undefined) return managers;
  const folded: Manager = {
    ...newest,
    manager: "ancient-changes",
    subresource: "",
    set: old.reduce((set, one) => unionSets(set, one.set), noFields),
  };
  return [folded, ...managers.filter((one) => !old.includes(one))];
}

export type Applying = {
  readonly kind: KindInfo;
  readonly live: Tree;
  readonly applied: Tree;
  readonly manager: string;
  readonly subresource: string;
  readonly force: boolean;
  readonly nowMs: number;
};

export type Applied = {
  readonly object: Tree;
  /** Writes who owns what, once the object is what will be stored. */ note(object: Tree): void;
};

/** Server-side apply of a configuration over a live object. @throws StatusError "Conflict" with the fields of others */
export function applyOver({ kind, live, applied, manager, subresource, force, nowMs }: Applying): Applied {
  const schema = rootSchema(kind);
  const managers = readManagers(live);
  const mine = managers.find(
    (one) => one.operation === "Apply" && one.manager === manager && one.subresource === subresource,
  );
  const wanted = ownable(setOf(applied, schema, { withContainers: false }));
  const merged = mergeApplied(live, applied, schema) as Tree;
  const changed = ownable(compare(live, merged, schema).changed);
  const others = managers.filter((one) => one !== mine);
  const conflicts = others
    .map((one) => ({ one, set: intersectSets(one.set, changed) }))
    .filter(({ set }) => !isEmptySet(set));
  if (conflicts.length > 0 && !force) throw applyConflict(conflicts);
  const left = others.map((one) => ({
    ...one,
    set: subtractSets(one.set, conflicts.find((conflict) => conflict.one === one)?.set ?? noFields),
  }));
  const owned = left.reduce((set, one) => unionSets(set, one.set), wanted);
  const gone = subtractSets(mine?.set ?? noFields, owned);
  const object = pruneFields(merged, schema, { gone: { ...gone, isOwned: false }, owned }) as Tree;
  const apiVersion = apiVersionText(kind);
  const isSame = mine !== undefined && mine.apiVersion === apiVersion && sameSets(mine.set, wanted);
  const note: Manager = {
    manager,
    operation: "Apply",
    apiVersion,
    subresource,
    time: isSame ? mine.time : toTime(nowMs),
    set: wanted,
  };
  return {
    object,
    note: (stored) =>
      writeManagers(
        stored,
        [...left, note].toSorted((one, other) =>
          one.operation < other.operation ? -1 : one.operation > other.operation ? 1 : 0,
        ),
      ),
  };
}

function applyConflict(conflicts: readonly { readonly one: Manager; readonly set: FieldSet }[]): StatusError {
  const all = conflicts.map(({ one, set }) => ({ who: managerText(one), paths: pathTexts(set) }));
  const count = all.reduce((sum, { paths }) => sum + paths.length, 0);
  const texts = all.map(({ who, paths }) =>
    paths.length === 1
      ? `conflict with ${who}: ${paths[0]}`
      : `conflicts with ${who}:\n${paths.map((path) => `- ${path}`).join("\n")}`,
  );
  const causes = all.flatMap(({ who, paths }) =>
    paths.map((field) => ({ reason: "FieldManagerConflict", message: `conflict with ${who}`, field })),
  );
  return new StatusError(
    "Conflict",
    `Apply failed with ${count} conflict${count === 1 ? "" : "s"}: ${texts.join("\n")}`,
    { details: { causes } },
  );
}

function managerText({ manager, operation, apiVersion, subresource, time }: Manager): string {
  const who =
    subresource === ""
      ? JSON.stringify(manager)
      : `${JSON.stringify(manager)} with subresource ${JSON.stringify(subresource)}`;
  if (operation === "Apply") return who;
  return time === "" ? `${who} using ${apiVersion}` : `${who} using ${apiVersion} at ${time}`;
}
