import { gunzipSync } from "node:zlib";
import { decodeJson } from "@cortado/wire/json";
import { isTree, type Tree } from "@cortado/kinds/tree";
import type { Log } from "@cortado/std/log";
import { messageOf, StatusError } from "@cortado/std/status";
import type { ChunkRef } from "../protocol/protocol.ts";
import { CHUNK_BYTES_MAX } from "./limits.ts";
import type { ChunkStore } from "./ports.ts";
import { sha256 } from "./registration.ts";

export type DeskOptions = {
  readonly store: ChunkStore;
  readonly log: Log;
  /** Something about the content of these bundles changed. */
  readonly changed: (bundles: readonly string[]) => void;
};

/** Content of bundles: knows which chunks they name, which of them are missing, and takes in only what it asked for. */
export class ChunkDesk {
  readonly #options: DeskOptions;
  readonly #wanted: Map<string, readonly ChunkRef[]> = new Map();
  readonly #missing: Set<string> = new Set();
  /** Why a chunk will not come. */
  readonly #refused: Map<string, string> = new Map();
  #wake: () => void = () => undefined;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Chunks to ask for. */
  get missing(): readonly string[] {
    return [...this.#missing].filter((hash) => !this.#refused.has(hash));
  }

  /** Calls when something is missing that was not before. */
  onMissing(wake: () => void): void {
    this.#wake = wake;
  }

  /** A new connection: what was refused on an older one may be asked for again. */
  forgive(): void {
    this.#refused.clear();
  }

  /** The chunks that a bundle names from now on; those that are not in the store are missing. */
  async expect(bundle: string, chunks: readonly ChunkRef[]): Promise<void> {
    this.#wanted.set(bundle, chunks);
    for (const { sha256: hash } of chunks) {
      this.#refused.delete(hash);
      if ((await this.#read(hash)) === undefined) this.#missing.add(hash);
    }
    this.#sweep();
  }

  forget(bundle: string): void {
    this.#wanted.delete(bundle);
    this.#sweep();
  }

  /**
   * The objects of a bundle in its order; undefined while some are missing.
   * @throws StatusError "Invalid" for a chunk that came and is no object
   */
  async objects(bundle: string): Promise<readonly Tree[] | undefined> {
    const objects: Tree[] = [];
    let isWhole = true;
    for (const { sha256: hash } of this.#wanted.get(bundle) ?? []) {
      let bytes = await this.#read(hash);
      // It may have come while we looked: what is not missing is there, or was forgotten.
      if (bytes === undefined && !this.#missing.has(hash)) bytes = await this.#read(hash);
      if (bytes === undefined) {
        isWhole = false;
        this.#missing.add(hash);
      } else objects.push(toObject(bytes, hash));
    }
    if (isWhole) return objects;
    this.#wake();
    return undefined;
  }

  /** What a bundle waits for, as a sentence. */
  waitingText(bundle: string): string {
    const chunks = this.#wanted.get(bundle) ?? [];
    const lacking = chunks.filter((one) => this.#missing.has(one.sha256));
    const why = lacking.map((one) => this.#refused.get(one.sha256)).find((text) => text !== undefined);
    return why ?? `waits for ${lacking.length} of ${chunks.length} objects from the hub`;
  }

  /** A chunk came. One that nobody asked for is dropped; one that is not what it says is refused by name. */
  async take(hash: string, gzip: Uint8Array): Promise<void> {
    if (!this.#missing.has(hash)) return;
    try {
      const bytes = gunzipSync(gzip, { maxOutputLength: CHUNK_BYTES_MAX });
      const has = sha256(bytes);
      if (has !== hash) throw new StatusError("Invalid", `its bytes have SHA-256 ${has}`);
      await this.#options.store.put(hash, bytes, { keep: this.#keep() });
      this.#missing.delete(hash);
      this.#refused.delete(hash);
    } catch (error) {
      this.refuse(hash, `content ${hash} is refused: ${messageOf(error)}`);
      return;
    }
    this.#options.changed(this.#usersOf(hash).filter((bundle) => this.#isWhole(bundle)));
  }

  /** The hub has no such chunk, or it was not what it should be: the bundles that need it say so. */
  refuse(hash: string, message: string): void {
    if (!this.#missing.has(hash)) return;
    const bundles = this.#usersOf(hash);
    this.#options.log.error("content is refused", { sha256: hash, bundles, reason: message });
    this.#refused.set(hash, message);
    this.#options.changed(bundles);
  }

  async #read(hash: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#options.store.read(hash);
    // A disk may rot: what is not what it was is asked for again.
    return bytes !== undefined && sha256(bytes) === hash ? bytes : undefined;
  }

  #usersOf(hash: string): readonly string[] {
    return [...this.#wanted]
      .filter(([, chunks]) => chunks.some((one) => one.sha256 === hash))
      .map(([bundle]) => bundle);
  }

  #isWhole(bundle: string): boolean {
    return (this.#wanted.get(bundle) ?? []).every((one) => !this.#missing.has(one.sha256));
  }

  #keep(): ReadonlySet<string> {
    return new Set([...this.#wanted.values()].flatMap((chunks) => chunks.map((one) => one.sha256)));
  }

  #sweep(): void {
    const keep = this.#keep();
    for (const hash of this.#missing) if (!keep.has(hash)) this.#missing.delete(hash);
    if (this.#missing.size > 0) this.#wake();
  }
}

function toObject(bytes: Uint8Array, hash: string): Tree {
  let value: unknown;
  try {
    value = decodeJson(bytes);
  } catch (cause) {
    throw new StatusError("Invalid", `content ${hash} is no JSON: ${messageOf(cause)}`, { cause });
  }
  if (isTree(value)) return value;
  throw new StatusError("Invalid", `content ${hash} is no object of the API`);
}
