import { gzipSync } from "node:zlib";
import type { Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import { jsonText } from "@cortado/wire/json";
import { messageOf, StatusError } from "@cortado/std/status";
import { canonicalJson } from "../../compile/canonical-json.ts";
import type { BundleFile, BundleOptions } from "../../compile/bundle.ts";
import type { ChunkRef, DeployOptions } from "../../protocol/protocol.ts";
import { CHUNK_CACHE_BYTES, RENDER_AGAIN_MS } from "../limits.ts";
import type { Compiler } from "../ports.ts";
import { shortId } from "../link/reports.ts";
import { sha256Of, type Blobs } from "../sources/blobs.ts";

/** What a bundle is for all clusters with equal options. */
export type Variant = {
  readonly number: number;
  readonly bundle: string;
  readonly deploymentId: string;
  readonly options: DeployOptions;
  readonly forceSyncGeneration: number;
  readonly chunks: readonly ChunkRef[];
  readonly chunkNames: ReadonlySet<string>;
  /** Something of it is of one store, or of the hub: nobody reads it but the stores that run it. */
  readonly isPrivate: boolean;
};

export type RenderRequest = {
  /** Key of the bundle. */
  readonly bundle: { readonly key: string; readonly namespace: string; readonly name: string };
  /** SHA-256 of what the generation was made of. */
  readonly sum: string;
  readonly files: () => Promise<readonly BundleFile[]>;
  readonly options: BundleOptions;
  readonly commit: string;
  /** Objects beside those of the files. */
  readonly copies: readonly Tree[];
  readonly isPrivate: boolean;
  readonly signal: AbortSignal;
};

export type VariantPorts = {
  readonly compiler: Compiler;
  readonly blobs: Blobs;
  readonly files: Files;
  readonly folder: string;
  readonly clock: Clock;
};

type Kept = Pick<Variant, "deploymentId" | "options" | "chunks"> & {
  /** Of what it was rendered; absent in what an older hub kept. */
  readonly of?: { readonly bundle: string; readonly sum: string };
  /** It stays on disk only while a store has it. */
  readonly isPrivate?: boolean;
};

/** Counts up when the same options come to other content: what an older hub kept is then rendered anew. */
const KEPT_FORMAT = 2;

/** Variants by number, rendered once: what was rendered stays on disk under the sum of what it was made of. */
export class Variants {
  readonly #ports: VariantPorts;
  readonly #rendering: Map<string, Promise<Variant>> = new Map();
  /** What was asked for last of each bundle. */
  readonly #asked: Map<string, { readonly text: string; readonly key: string }> = new Map();
  readonly #byNumber: Map<number, Variant> = new Map();
  readonly #numbers: Map<string, number> = new Map();
  /** By what was rendered. */
  readonly #numberOfKey: Map<string, number> = new Map();
  /** The first of those that differ only in how often they were forced. */
  readonly #byId: Map<string, number> = new Map();
  readonly #packed: Map<string, Uint8Array> = new Map();
  /** Being read: ten thousand stores that want a chunk at once are one reader of the disk. */
  readonly #packing: Map<string, Promise<Uint8Array>> = new Map();
  /** Private ones that no store had at the last sweep. */
  #unneeded: ReadonlySet<string> = new Set();
  #packedBytes = 0;
  #last = 0;
  #renders = 0;

  constructor(ports: VariantPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#byNumber.size;
  }

  /** How often the compiler was asked. */
  get renders(): number {
    return this.#renders;
  }

  get(number: number): Variant | undefined {
    return this.#byNumber.get(number);
  }

  all(): Iterable<Variant> {
    return this.#byNumber.values();
  }

  /** The variant of a bundle that an agent names; 0: none of ours. */
  numberOf(bundle: string, deploymentId: string): number {
    return this.#byId.get(`${bundle}\n${shortId(deploymentId)}`) ?? 0;
  }

  /** @throws StatusError that names the bundle and what to do */
  async render(request: RenderRequest): Promise<Variant> {
    const { bundle, sum, options, copies } = request;
    const of = {
      format: KEPT_FORMAT,
      ...bundle,
      sum,
      options,
      ...(copies.length === 0 ? {} : { copies }),
    };
    const key = this.#keyOf(bundle.key, of);
    const known = this.#rendering.get(key);
    if (known !== undefined) return known;
    const work = this.#render(key, request);
    this.#rendering.set(key, work);
    // What failed may succeed when it is asked for again, and is not asked for by each of its clusters.
    work.catch(() => this.#ports.clock.after(RENDER_AGAIN_MS, () => this.#rendering.delete(key)));
    return work;
  }

  /** Store after store asks for the same: its one text and its sum are made once. */
  #keyOf(bundle: string, of: unknown): string {
    const text = jsonText(of);
    const last = this.#asked.get(bundle);
    if (last?.text === text) return last.key;
    const key = sha256Of(canonicalJson(of));
    this.#asked.set(bundle, { text, key });
    return key;
  }

  async #render(key: string, request: RenderRequest): Promise<Variant> {
    const path = `${this.#ports.folder}/${key}`;
    const kept = await this.#readKept(path);
    // Of what is gone from the disk it is made again.
    if (kept?.chunks.every(({ sha256 }) => this.#ports.blobs.keep(sha256)) === true)
      return this.#number(request, kept, key);
    const { bundle, options, commit, copies, isPrivate, signal } = request;
    try {
      this.#renders += 1;
      const { namespace, name } = bundle;
      const files = await request.files();
      const input = { namespace, name, files, options, commit, copies, signal };
      const rendered = await this.#ports.compiler.render(input);
      const chunks: ChunkRef[] = [];
      for (const { sha256, content } of rendered.chunks) {
        const stored = await this.#ports.blobs.put(content);
        if (stored !== sha256)
          throw new StatusError("InternalError", `an object was named ${sha256} and has SHA-256 ${stored}`);
        chunks.push({ sha256, bytes: content.byteLength });
      }
      const { deploymentId } = rendered;
      const of = { bundle: bundle.key, sum: request.sum };
      const mark = isPrivate ? { isPrivate } : {};
      const kept: Kept = { deploymentId, options: rendered.options, chunks, of, ...mark };
      await this.#ports.files.replace(path, new TextEncoder().encode(JSON.stringify(kept)));
      return this.#number(request, kept, key);
    } catch (error) {
      if (signal.aborted) throw error;
      throw new StatusError("Invalid", `bundle ${bundle.key} cannot be rendered: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async #readKept(path: string): Promise<Kept | undefined> {
    const bytes = await this.#ports.files.read(path);
    return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as Kept);
  }

  /**
   * Forgets what no generation names: its file first, so that nothing names a chunk that goes. Answers the chunks that are needed still.
   * What is rendered meanwhile has new chunks, which the blobs keep until the next time.
   */
  async sweep(of: {
    readonly isKept: (bundle: string, sum: string) => boolean;
    readonly inUse: () => ReadonlySet<number>;
  }): Promise<ReadonlySet<string>> {
    const { files, folder } = this.#ports;
    const chunks = new Set<string>();
    const unneeded = new Set<string>();
    const used = of.inUse();
    for (const key of await files.list(folder)) {
      const kept = await this.#readKept(`${folder}/${key}`);
      if (kept === undefined) continue;
      const isUnused = kept.isPrivate === true && !used.has(this.#numberOfKey.get(key) ?? 0);
      if (isUnused) unneeded.add(key);
      // What was rendered a moment ago may be on its way to its store.
      const isOver = isUnused && this.#unneeded.has(key);
      if (!isOver && kept.of !== undefined && of.isKept(kept.of.bundle, kept.of.sum)) {
        for (const { sha256 } of kept.chunks) chunks.add(sha256);
        continue;
      }
      this.#rendering.delete(key);
      this.#numberOfKey.delete(key);
      await files.remove(`${folder}/${key}`);
    }
    this.#unneeded = unneeded;
    this.#asked.clear();
    const alive = new Set([...of.inUse(), ...this.#numberOfKey.values()]);
    for (const [number, { chunkNames }] of this.#byNumber)
      if (alive.has(number)) for (const name of chunkNames) chunks.add(name);
      else this.#byNumber.delete(number);
    for (const names of [this.#numbers, this.#byId])
      for (const [name, number] of names) if (!alive.has(number)) names.delete(name);
    return chunks;
  }

  #number({ bundle, options }: RenderRequest, kept: Kept, key: string): Variant {
    const forceSyncGeneration = options.forceSyncGeneration ?? 0;
    const name = `${bundle.key}\n${kept.deploymentId}\n${forceSyncGeneration}\n${canonicalJson(kept.options)}`;
    const number = this.#numbers.get(name) ?? (this.#last += 1);
    this.#numbers.set(name, number);
    const chunkNames = new Set(kept.chunks.map(({ sha256 }) => sha256));
    const { of: _of, isPrivate = false, ...own } = kept;
    const variant = { ...own, isPrivate, number, bundle: bundle.key, forceSyncGeneration, chunkNames };
    this.#numberOfKey.set(key, number);
    this.#byNumber.set(number, variant);
    const id = `${bundle.key}\n${shortId(kept.deploymentId)}`;
    if (!this.#byId.has(id)) this.#byId.set(id, number);
    return variant;
  }

  /** A chunk as it goes over the wire. @throws StatusError "NotFound" or "InternalError" as Blobs does */
  async packed(sha256: string): Promise<Uint8Array> {
    const known = this.#packed.get(sha256) ?? this.#packing.get(sha256);
    if (known !== undefined) return known;
    const work = this.#pack(sha256).finally(() => this.#packing.delete(sha256));
    this.#packing.set(sha256, work);
    return work;
  }

  async #pack(sha256: string): Promise<Uint8Array> {
    const gzip = gzipSync(await this.#ports.blobs.get(sha256));
    this.#packed.set(sha256, gzip);
    this.#packedBytes += gzip.byteLength;
    for (const [name, old] of this.#packed) {
      if (this.#packedBytes <= CHUNK_CACHE_BYTES) break;
      this.#packed.delete(name);
      this.#packedBytes -= old.byteLength;
    }
    return gzip;
  }
}
