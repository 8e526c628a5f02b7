import type { KeyValue, Revision, Store, WriteResult, Expectation } from "@cortado/store";
import { StatusError } from "@cortado/std/status";
import { assert } from "@cortado/std/assert";
import { decodeJson, encodeJson } from "@cortado/wire/json";
import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import { freezeTree, textAt, treeAt, type Tree } from "@cortado/kinds/tree";
import { OBJECT_BYTES_MAX } from "../limits.ts";

/** An object as it is stored: its bytes, and the revision that is its resourceVersion. */
export type StoredObject = { readonly bytes: Uint8Array; readonly revision: Revision };

/** Where the objects of a kind live: `/registry/GROUP/PLURAL/`. */
export function keyPrefix(kind: KindInfo): string {
  const { group, plural } = kind.storedAs ?? kind;
  return `/registry/${group === "" ? "core" : group}/${plural}/`;
}

export function prefixOf(kind: KindInfo, namespace: string): string {
  return namespace === "" ? keyPrefix(kind) : `${keyPrefix(kind)}${namespace}/`;
}

export function keyOf(kind: KindInfo, place: { readonly namespace: string; readonly name: string }): string {
  assert(place.name !== "", "a key has a name");
  return kind.namespaced
    ? `${keyPrefix(kind)}${place.namespace}/${place.name}`
    : `${keyPrefix(kind)}${place.name}`;
}

const parsed = new WeakMap<Uint8Array, WeakRef<Tree>>();

/**
 * The object in stored bytes, with its resourceVersion; frozen, because all readers share one. It is parsed once for as long as
 * anybody holds it.
 */
export function objectOf({ bytes, revision }: StoredObject, kind: KindInfo): Tree {
  const known = parsed.get(bytes)?.deref() ?? readStored(bytes, revision);
  const metadata = known["metadata"] as Tree;
  // The bytes of a deleted object are told again under the revision of its deletion.
  const isSame = metadata["resourceVersion"] === String(revision);
  const stored = isSame
    ? known
    : freezeTree({ ...known, metadata: { ...metadata, resourceVersion: String(revision) } });
  return presented(stored, kind);
}

function readStored(bytes: Uint8Array, revision: Revision): Tree {
  const { metadata, ...rest } = decodeJson(bytes) as Tree & { metadata: Tree };
  const { apiVersion, kind, ...others } = rest;
  const object = freezeTree({
    apiVersion,
    kind,
    metadata: { ...metadata, resourceVersion: String(revision) },
    ...others,
  }) as Tree;
  parsed.set(bytes, new WeakRef(object));
  return object;
}

function presented(object: Tree, kind: KindInfo): Tree {
  if (kind.storedAs !== undefined) return freezeTree(kind.storedAs.fromStored(object));
  const apiVersion = apiVersionText(kind);
  return object["apiVersion"] === apiVersion ? object : freezeTree({ ...object, apiVersion });
}

/** Bytes to keep: apiVersion, kind and metadata first, so that what a reader adds can be stitched in without parsing. */
export function toBytes(object: Tree, kind: KindInfo): Uint8Array {
  const stored = kind.storedAs?.toStored(object) ?? object;
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = stored;
  const { resourceVersion: _version, ...meta } = metadata as Tree;
  const bytes = encodeJson({
    apiVersion: apiVersionText(kind.storedAs ?? kind),
    kind: kind.kind,
    metadata: meta,
    ...rest,
  });
  if (bytes.byteLength > OBJECT_BYTES_MAX) {
    const name = textAt(object, "metadata", "name");
    throw new StatusError(
      "RequestEntityTooLarge",
      `${kind.plural} ${JSON.stringify(name)} has ${bytes.byteLength} bytes, which is over the limit of ${OBJECT_BYTES_MAX}; split it`,
    );
  }
  return bytes;
}

const metaMark = Buffer.from('"metadata":{');

/** The JSON of a stored object in two or three pieces, its resourceVersion stitched in; nothing is parsed. */
export function jsonPieces(stored: StoredObject, kind: KindInfo): readonly Uint8Array[] {
  if (kind.storedAs !== undefined) return [encodeJson(objectOf(stored, kind))];
  const start = Buffer.from(stored.bytes.buffer, stored.bytes.byteOffset, stored.bytes.byteLength).indexOf(
    metaMark,
  );
  assert(start > 0, "stored bytes have their metadata");
  const head = `{"apiVersion":${JSON.stringify(apiVersionText(kind))},"kind":${JSON.stringify(kind.kind)},"metadata":{"resourceVersion":"${stored.revision}",`;
  return [Buffer.from(head), stored.bytes.subarray(start + metaMark.byteLength)];
}

export function storedOf(keyValue: KeyValue): StoredObject {
  return { bytes: keyValue.value, revision: keyValue.modified };
}

export async function readObject(
  store: Store,
  kind: KindInfo,
  place: { readonly namespace: string; readonly name: string },
): Promise<Tree | undefined> {
  const found = await store.get(keyOf(kind, place));
  return found === undefined ? undefined : objectOf(storedOf(found), kind);
}

export type PutOptions = { readonly expect: Expectation; readonly current?: Tree | undefined };

export type PutOutcome =
  | { readonly put: true; readonly object: Tree; readonly stored: StoredObject }
  | { readonly put: false; readonly current: StoredObject | undefined };

/** Writes an object under the key that its metadata names. */
export async function putObject(
  store: Store,
  kind: KindInfo,
  { object, expect, current }: PutOptions & { readonly object: Tree },
): Promise<PutOutcome> {
  const meta = treeAt(object, "metadata");
  const key = keyOf(kind, { namespace: textAt(meta, "namespace"), name: textAt(meta, "name") });
  const value = toBytes(object, kind);
  const volatile = kind.rules.isVolatile?.(object, current) ?? false;
  const result = await store.write({ kind: "put", key, value, expect, volatile });
  if (!result.written) return { put: false, current: currentOf(result) };
  const stored = { bytes: value, revision: result.revision };
  return { put: true, stored, object: objectOf(stored, kind) };
}

function currentOf(result: WriteResult & { readonly written: false }): StoredObject | undefined {
  return result.current === undefined ? undefined : storedOf(result.current);
}
