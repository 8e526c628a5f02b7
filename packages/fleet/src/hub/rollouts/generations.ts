import type { Bundle } from "@cortado/kinds/fleet";
import { messageOf, StatusError } from "@cortado/std/status";
import { canonicalJson } from "../../compile/canonical-json.ts";
import type { BundleFile, BundleSpec, TargetResult } from "../../compile/bundle.ts";
import type { Compiler } from "../ports.ts";
import { valuesNeeds, withoutValues, withStoreValues } from "../../compile/values-from.ts";
import type { ValuesNeed } from "../../protocol/protocol.ts";
import type { Copies, CopyNames } from "../copies/copies.ts";
import { sha256Of, type Blobs } from "../sources/blobs.ts";
import { toFiles } from "../sources/bundle-files.ts";
import { COMMIT_LABEL } from "../sources/bundle-plan.ts";
import type { StoreRow } from "../state/stores.ts";
import { readValues } from "./read-values.ts";
import type { Variant, Variants } from "./variants.ts";

/** No variant has this number: the bundle is not for the store. */
const NO_VARIANT = 0;
/** Files of one bundle, unpacked. */
const FILES_BYTES_MAX: number = 64 * 1024 * 1024;

export type BundleName = { readonly key: string; readonly namespace: string; readonly name: string };

/** What a generation was made of; on disk for as long as a store may run it. */
type Source = { readonly spec: NonNullable<Bundle["spec"]>; readonly commit: string };

export type GenerationParts = {
  readonly compiler: Compiler;
  readonly blobs: Blobs;
  readonly variants: Variants;
  readonly copies: Copies;
  readonly signal: AbortSignal;
};

/** What a bundle is for one cluster in one generation. */
export type Outcome =
  | { readonly kind: "variant"; readonly variant: Variant }
  | { readonly kind: "none" }
  /** The store has to tell something of itself first. */
  | { readonly kind: "waits"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

/** The part of a spec whose change is a new wish; how it is rolled out is not. */
export function wishOf(spec: NonNullable<Bundle["spec"]>): NonNullable<Bundle["spec"]> {
  const { paused: _paused, rolloutStrategy: _strategy, ...wish } = spec;
  return wish;
}

export function sumOf(spec: NonNullable<Bundle["spec"]>): string {
  return sha256Of(new TextEncoder().encode(canonicalJson(wishOf(spec))));
}

/** Keeps a wish on disk; answers the name under which it is read back. */
export async function keepSource(blobs: Blobs, bundle: Bundle): Promise<string> {
  const commit = bundle.metadata.labels?.[COMMIT_LABEL] ?? "";
  const source: Source = { spec: wishOf(bundle.spec ?? {}), commit };
  return await blobs.put(new TextEncoder().encode(canonicalJson(source)));
}

/** A generation of a bundle: says for each cluster what it is, and remembers it while the cluster's labels stay. */
export class Generation {
  readonly generation: number;
  readonly sum: string;
  readonly source: string;
  readonly spec: BundleSpec;
  readonly #bundle: BundleName;
  readonly #parts: GenerationParts;
  readonly #kept: Source;
  readonly #targeter: (facts: StoreRow["facts"]) => TargetResult;
  /** By the store's number: the version that was looked at, and what it came to. */
  #versions = new Uint32Array(0);
  #outcomes = new Uint32Array(0);
  readonly #byVariant: Map<number, Outcome> = new Map();
  /** By the store's number: what it is to tell. */
  readonly #needs: Map<number, readonly ValuesNeed[]> = new Map();
  #files: Promise<readonly BundleFile[]> | undefined;

  private constructor(
    bundle: BundleName,
    parts: GenerationParts,
    read: {
      readonly generation: number;
      readonly source: string;
      readonly sum: string;
      readonly kept: Source;
    },
  ) {
    this.#bundle = bundle;
    this.#parts = parts;
    this.generation = read.generation;
    this.source = read.source;
    this.sum = read.sum;
    this.#kept = read.kept;
    this.spec = read.kept.spec as BundleSpec;
    this.#targeter = parts.compiler.newTargeter({ name: bundle.name, spec: this.spec });
  }

  /** @throws StatusError "NotFound" when its source is not at this hub, "Invalid" for targets that cannot be read */
  static async open(
    bundle: BundleName,
    parts: GenerationParts,
    entry: { readonly generation: number; readonly source: string; readonly sum: string },
  ): Promise<Generation> {
    const kept = JSON.parse(new TextDecoder().decode(await parts.blobs.get(entry.source))) as Source;
    return new Generation(bundle, parts, { ...entry, kept });
  }

  /** Never rejects but when the hub stops. */
  async outcomeFor(row: StoreRow): Promise<Outcome> {
    const known = this.known(row);
    if (known !== undefined) return known;
    const { version } = row;
    const outcome = await this.#outcome(row);
    // What could not be rendered is tried again: a tool or a disk may be back.
    if (outcome.kind === "variant" || outcome.kind === "none") this.#keep(row.index, version, outcome);
    return outcome;
  }

  /** What a store is to tell of its own ConfigMaps and Secrets, as far as it was looked at. */
  needsOf({ index }: StoreRow): readonly ValuesNeed[] {
    return this.#needs.get(index) ?? [];
  }

  /** Something that the hub has and that belongs to it changed: every store is looked at anew. */
  copiesChanged({ kind, name }: CopyNames[number]): boolean {
    const isNamed = [this.spec, ...(this.spec.targets ?? [])].some(({ downstreamResources = [] }) =>
      downstreamResources.some((one) => one.kind === kind && one.name === name),
    );
    if (isNamed) this.#versions.fill(0);
    return isNamed;
  }

  /** What was found before for the store as it is; undefined: it has to be looked at. */
  known({ index, version }: StoreRow): Outcome | undefined {
    if (this.#versions[index] !== version) return undefined;
    const variant = this.#outcomes[index] as number;
    // One that only a store had that has another now may be gone from the disk.
    if (variant !== NO_VARIANT && this.#parts.variants.get(variant) === undefined) return undefined;
    return this.#byVariant.get(variant);
  }

  #keep(
    index: number,
    version: number,
    outcome: Extract<Outcome, { readonly kind: "variant" | "none" }>,
  ): void {
    if (index >= this.#versions.length) {
      const size = Math.ceil((index + 1) * 1.5);
      const [versions, outcomes] = [this.#versions, this.#outcomes];
      (this.#versions = new Uint32Array(size)).set(versions);
      (this.#outcomes = new Uint32Array(size)).set(outcomes);
    }
    const variant = outcome.kind === "variant" ? outcome.variant.number : NO_VARIANT;
    if (!this.#byVariant.has(variant)) this.#byVariant.set(variant, outcome);
    this.#versions[index] = version;
    this.#outcomes[index] = variant;
  }

  async #outcome(row: StoreRow): Promise<Outcome> {
    const { signal, variants } = this.#parts;
    try {
      const result = this.#targeter(row.facts);
      this.#needs.delete(row.index);
      if (result.deploys === false) return { kind: "none" };
      if (result.deploys === "failed") return { kind: "failed", message: result.message };
      const needs = valuesNeeds(result.options);
      if (needs.length > 0) this.#needs.set(row.index, needs);
      const read = readValues(row, needs);
      if (read.waits !== undefined) return { kind: "waits", message: read.waits };
      const { options, own } = withStoreValues(result.options, read.told);
      const copies = await this.#parts.copies.objects(
        this.#bundle.namespace,
        result.options.downstreamResources ?? [],
      );
      const request = {
        bundle: this.#bundle,
        sum: this.sum,
        files: () => (this.#files ??= this.#read()),
        options: needs.length === 0 ? result.options : options,
        commit: this.#kept.commit,
        copies,
        isPrivate: needs.length > 0 || copies.length > 0,
        signal,
      };
      const variant = await variants.render(request).catch((error: unknown) => {
        if (needs.length === 0) throw error;
        // What the chart says may repeat what is the store's own.
        throw new StatusError("Invalid", withoutValues(messageOf(error), own));
      });
      return { kind: "variant", variant };
    } catch (error) {
      if (signal.aborted) throw error;
      return { kind: "failed", message: messageOf(error) };
    }
  }

  forget(row: StoreRow): void {
    this.#needs.delete(row.index);
    if (row.index < this.#versions.length) this.#versions[row.index] = 0;
  }

  async #read(): Promise<readonly BundleFile[]> {
    const { resources, contentsId } = this.#kept.spec;
    if (contentsId === undefined || contentsId === "")
      return toFiles(resources ?? [], { bytesMax: FILES_BYTES_MAX });
    if (!contentsId.startsWith("s-"))
      throw new StatusError(
        "Invalid",
        `contentsId ${contentsId} is not of this hub; put files into resources`,
      );
    const bytes = await this.#parts.blobs.get(contentsId.slice(2));
    const list = JSON.parse(new TextDecoder().decode(bytes)) as NonNullable<typeof resources>;
    return toFiles(list, { bytesMax: FILES_BYTES_MAX });
  }
}
