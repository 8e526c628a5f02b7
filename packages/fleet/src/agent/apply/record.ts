import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Client, Stored } from "@cortado/client";
import type { Secret } from "@cortado/kinds";
import { secrets } from "@cortado/kinds/resources";
import { decodeJson, encodeJson } from "@cortado/wire/json";
import { hasReason, StatusError, toStatusError } from "@cortado/std/status";
import type { DesiredBundle } from "../../protocol/protocol.ts";
import { OBJECT_NAME_MAX, RECORD_BYTES_MAX } from "../limits.ts";
import { RECORD_LABEL } from "./marks.ts";
import type { Item } from "./place.ts";

/** `found`: it was there before the bundle, so that it is not ours to delete. */
export type Owned = Item & { readonly found?: boolean };

/** What a bundle may have made in the cluster: never less than is there. */
export type BundleRecord = {
  readonly version: 1;
  readonly bundle: string;
  /** The deployment id that was last applied to its end; empty: none. */
  readonly appliedId: string;
  /** forceSyncGeneration of that. */
  readonly generation: number;
  readonly owned: readonly Owned[];
  /** The namespace that is deleted with the bundle, when asked. */
  readonly namespace: string;
  readonly deleteNamespace: boolean;
  readonly deleteDefinitions: boolean;
  /** The bundle gave labels or annotations to its namespace. */
  readonly marksNamespace: boolean;
};

/** What the hub last wanted of a bundle, kept so that a store without its hub goes on. */
export type Wanted =
  | { readonly kind: "bundle"; readonly bundle: DesiredBundle }
  | { readonly kind: "gone"; readonly keepResources: boolean };

export type KeptBundle = {
  readonly name: string;
  readonly record: BundleRecord | undefined;
  readonly wanted: Wanted | undefined;
  /** Why its Secret cannot be read: what it owns is not known then. */
  readonly problem?: StatusError;
};

/** The agent's Secrets, one per bundle: its record, and what the hub wants of it. */
export class Records {
  readonly #client: Client;
  readonly namespace: string;

  constructor(client: Client, options: { readonly namespace: string }) {
    this.#client = client;
    this.namespace = options.namespace;
  }

  /** @throws StatusError "InternalError" for a Secret that is damaged: then nothing of the bundle may be deleted */
  async read(bundle: string, signal: AbortSignal): Promise<KeptBundle> {
    try {
      const where = { name: recordName(bundle), namespace: this.namespace };
      return readSecret(await this.#client.get(secrets, { ...where, signal }), bundle);
    } catch (error) {
      if (hasReason(error, "NotFound")) return { name: bundle, record: undefined, wanted: undefined };
      throw error;
    }
  }

  async list(signal: AbortSignal): Promise<readonly KeptBundle[]> {
    const { items } = await this.#client.list(secrets, {
      namespace: this.namespace,
      labelSelector: RECORD_LABEL,
      signal,
    });
    return items.map((secret) => {
      const name = secret.metadata.annotations?.[NAME] ?? "";
      try {
        return readSecret(secret, name);
      } catch (error) {
        return { name, record: undefined, wanted: undefined, problem: toStatusError(error) };
      }
    });
  }

  /** @throws StatusError "RequestEntityTooLarge" for more objects than one Secret can name */
  async writeRecord(record: BundleRecord, signal: AbortSignal): Promise<void> {
    await this.#write(record.bundle, { record }, signal);
  }

  async writeWanted(bundle: string, wanted: Wanted, signal: AbortSignal): Promise<void> {
    await this.#write(bundle, { wanted }, signal);
  }

  /**
   * Forgets what a bundle owned, and all of it when nothing is wanted of it any more.
   * @throws StatusError "Conflict" when the wish changed at this very moment
   */
  async remove(bundle: string, signal: AbortSignal): Promise<void> {
    const where = { name: recordName(bundle), namespace: this.namespace, signal };
    try {
      const secret = await this.#client.get(secrets, where);
      if (readSecret(secret, bundle).wanted?.kind === "bundle") {
        await this.#client.patch(secrets, { ...where, type: "merge", body: { data: { record: null } } });
        return;
      }
      const { resourceVersion } = secret.metadata;
      await this.#client.delete(secrets, { ...where, preconditions: { resourceVersion } });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
    }
  }

  async #write(bundle: string, fields: Record<string, unknown>, signal: AbortSignal): Promise<void> {
    const data: Record<string, string> = {};
    for (const [key, value] of Object.entries(fields)) data[key] = pack(bundle, value);
    const name = recordName(bundle);
    const where = { name, namespace: this.namespace };
    try {
      await this.#client.patch(secrets, { ...where, type: "merge", body: { data }, signal });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
      const metadata = { ...where, labels: { [RECORD_LABEL]: "1" }, annotations: { [NAME]: bundle } };
      await this.#client.create(secrets, { metadata, type: "fleet.cortado.dev/bundle", data }, { signal });
    }
  }
}

const NAME = "fleet.cortado.dev/record-of";

function recordName(bundle: string): string {
  const name = `fleet-agent-bundle-${bundle}`;
  if (name.length <= OBJECT_NAME_MAX) return name;
  return `fleet-agent-bundle-${createHash("sha256").update(bundle).digest("hex")}`;
}

function pack(bundle: string, value: unknown): string {
  const packed = gzipSync(encodeJson(value)).toString("base64");
  if (packed.length <= RECORD_BYTES_MAX) return packed;
  throw new StatusError(
    "RequestEntityTooLarge",
    `bundle ${bundle} has too many objects for its record (${packed.length} bytes of ${RECORD_BYTES_MAX}); split it`,
  );
}

function readSecret(secret: Stored<Secret>, name: string): KeptBundle {
  try {
    const unpack = (text: string | undefined): unknown =>
      text === undefined ? undefined : decodeJson(gunzipSync(Buffer.from(text, "base64")));
    const record = unpack(secret.data?.["record"]) as BundleRecord | undefined;
    const wanted = unpack(secret.data?.["wanted"]) as Wanted | undefined;
    if (record !== undefined && record.version !== 1) throw new Error("a version that we do not know");
    return { name, record, wanted };
  } catch (cause) {
    throw new StatusError(
      "InternalError",
      `Secret ${secret.metadata.name} in ${secret.metadata.namespace ?? ""} is damaged; the bundle's objects stay ` +
        "as they are until it is restored, or deleted so that the bundle is applied anew",
      { cause },
    );
  }
}
