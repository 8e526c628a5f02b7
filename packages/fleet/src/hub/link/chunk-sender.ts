import { hasReason, messageOf, StatusError } from "@cortado/std/status";
import { encodeFrame } from "../../protocol/frames.ts";
import type { DesiredBundle, HubLink } from "../../protocol/protocol.ts";
import { audit } from "../audit.ts";
import type { Core } from "../core.ts";
import { WANT_MAX } from "../limits.ts";
import type { StoreRow } from "../state/stores.ts";

export type ChunkOptions = { readonly core: Core; readonly link: HubLink; readonly remote: string };

/** Gives a store the content of its bundles over one connection, and of no other. */
export class ChunkSender {
  readonly #options: ChunkOptions;
  /** Chunks that went over this connection. */
  readonly #sent: Set<string> = new Set();

  constructor(options: ChunkOptions) {
    this.#options = options;
  }

  /** Chunks that the store does not have from what it applied before. */
  lacking({ name, namespace, deploymentId, chunks }: DesiredBundle, has: string): readonly string[] {
    if (has === deploymentId) return [];
    const { variants } = this.#options.core;
    const old = variants.get(variants.numberOf(`${namespace}/${name}`, has));
    return chunks
      .map(({ sha256 }) => sha256)
      .filter((sha256) => !this.#sent.has(sha256) && old?.chunkNames.has(sha256) !== true);
  }

  async #send(sha256: string): Promise<number> {
    const gzip = await this.#options.core.variants.packed(sha256);
    await this.#options.link.sendBytes(encodeFrame({ kind: "chunk", sha256, gzip }));
    this.#sent.add(sha256);
    return gzip.byteLength;
  }

  /** One that is lost or damaged here costs its own bundle, not the connection. */
  async offer(sha256: string): Promise<number> {
    try {
      return await this.#send(sha256);
    } catch (error) {
      if (!hasReason(error, "NotFound", "InternalError")) throw error;
      await this.#options.link.send({ type: "noChunk", sha256, message: messageOf(error) });
      return 0;
    }
  }

  /** What the store asks for, as far as it may have it. */
  async give(row: StoreRow, chunks: readonly string[]): Promise<void> {
    if (!Array.isArray(chunks) || chunks.length > WANT_MAX)
      throw new StatusError("BadRequest", `a want names at most ${WANT_MAX} chunks`);
    for (const sha256 of chunks) {
      try {
        if (!this.#mayRead(row, sha256)) throw this.#notForThem(row, String(sha256));
        await this.#send(sha256);
      } catch (error) {
        await this.#options.link.send({ type: "noChunk", sha256: String(sha256), message: messageOf(error) });
      }
    }
  }

  #notForThem(row: StoreRow, sha256: string): StatusError {
    const why = "it is not of a bundle that is for this store";
    const error = new StatusError("Forbidden", why);
    const { reason, code } = error;
    const about = { cluster: row.key, remote: this.#options.remote, reason, code };
    audit(this.#options.core.ports, "content refused", { ...about, why: `${sha256.slice(0, 64)}: ${why}` });
    return error;
  }

  #mayRead(row: StoreRow, sha256: string): boolean {
    const { cells, variants } = this.#options.core;
    for (const cell of cells.ofCluster(row.index))
      if (variants.get(cells.read(cell).released)?.chunkNames.has(sha256) === true) return true;
    return false;
  }
}
