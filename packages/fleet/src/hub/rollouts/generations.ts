import type { Bundle } from "@cortado/kinds/fleet";
import { messageOf, StatusError } from "@cortado/std/status";
import { canonicalJson } from "../../compile/canonical-json.ts";
import type { BundleFile, BundleSpec, TargetResult } from "../../compile/bundle.ts";
import type { Compiler } from "../ports.ts";
import { sha256Of, type Blobs } from "../sources/blobs.ts";
import { toFiles } from "../sources/bundle-files.ts";
import { COMMIT_LABEL } from "../sources/bundle-plan.ts";
import type { StoreRow } from "../state/stores.ts";
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
  readonly signal: AbortSignal;
};

/** What a bundle is for one cluster in one generation. */
export type Outcome =
  | { readonly kind: "variant"; readonly variant: Variant }
  | { readonly kind: "none" }
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
    if (outcome.kind !== "failed") this.#keep(row.index, version, outcome);
    return outcome;
  }

  /** What was found before for the store as it is; undefined: it has to be looked at. */
  known({ index, version }: StoreRow): Outcome | undefined {
    if (this.#versions[index] !== version) return undefined;
    return this.#byVariant.get(this.#outcomes[index] as number);
  }

  #keep(index: number, version: number, outcome: Exclude<Outcome, { readonly kind: "failed" }>): void {
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
      if (result.deploys === false) return { kind: "none" };
      if (result.deploys === "failed") return { kind: "failed", message: result.message };
      const variant = await variants.render({
        bundle: this.#bundle,
        sum: this.sum,
        files: () => (this.#files ??= this.#read()),
        options: result.options,
        commit: this.#kept.commit,
        signal,
      });
      return { kind: "variant", variant };
    } catch (error) {
      if (signal.aborted) throw error;
      return { kind: "failed", message: messageOf(error) };
    }
  }

  forget(row: StoreRow): void {
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
