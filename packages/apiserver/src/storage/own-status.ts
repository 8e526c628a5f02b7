import { toTime } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";
import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import { listAt, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { decodeJson } from "@cortado/wire/json";
import { conflict, notFound } from "../errors.ts";
import { OWN_STATUS_ATTEMPTS_MAX } from "../limits.ts";
import type { Server } from "../server.ts";
import { keyOf, toBytes } from "./records.ts";

export type OwnStatus = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
  /** Who is noted in managedFields: as the owner of the whole status. */
  readonly manager: string;
  /** Fields of the status as they are now, each whole; those that are not named stay. */
  readonly fields: Tree;
};

/**
 * Writes the status of an object whose status one writer of this process owns alone: what that writer makes by its types is not
 * admitted, validated and compared field by field once more. Durable and seen by watchers as any other write.
 * @throws StatusError "NotFound", and what the store says
 */
export async function writeOwnStatus(
  server: Pick<Server, "store" | "kinds" | "clock">,
  own: OwnStatus,
): Promise<void> {
  const kind = server.kinds.find(own);
  if (kind === undefined) throw new StatusError("NotFound", `${own.plural}.${own.group} is not served here`);
  const key = keyOf(kind, own);
  for (let attempt = 1; attempt <= OWN_STATUS_ATTEMPTS_MAX; attempt += 1) {
    const found = await server.store.get(key);
    if (found === undefined) throw notFound({ ...kind, name: own.name });
    const object = decodeJson(found.value) as Tree;
    const metadata = treeAt(object, "metadata");
    const managedFields = noted(metadata, { own, kind, time: toTime(server.clock.nowMs()) });
    const status = { ...treeAt(object, "status"), ...own.fields };
    const value = toBytes({ ...object, metadata: { ...metadata, managedFields }, status }, kind);
    const expect = { kind: "modified", revision: found.modified } as const;
    const result = await server.store.write({ kind: "put", key, value, expect });
    if (result.written) return;
  }
  throw conflict({ ...kind, name: own.name });
}

/** One entry for the whole status in place of one for each of its fields, of which a kind may have dozens. */
function noted(
  metadata: Tree,
  { own, kind, time }: { readonly own: OwnStatus; readonly kind: KindInfo; readonly time: string },
): readonly unknown[] {
  const isOwn = (entry: unknown): boolean =>
    textAt(entry, "manager") === own.manager && textAt(entry, "subresource") === "status";
  const entries = listAt(metadata, "managedFields");
  const known = entries.find((entry) => isOwn(entry) && wholeStatus in treeAt(entry, "fieldsV1"));
  const entry = {
    manager: own.manager,
    operation: "Update",
    apiVersion: apiVersionText(kind),
    time,
    fieldsType: "FieldsV1",
    fieldsV1: { [wholeStatus]: {} },
    subresource: "status",
  };
  const isWhole = known !== undefined && Object.keys(treeAt(known, "fieldsV1", wholeStatus)).length === 0;
  return [...entries.filter((one) => !isOwn(one)), isWhole ? known : entry];
}

const wholeStatus = "f:status";
