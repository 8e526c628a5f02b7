const CHUNK_BYTES = 65_536;

/**
 * Small pieces of bytes that live and go together. Each in a buffer of its own would leave the process' memory full of holes: of a
 * million retained messages that had passed, hundreds of megabytes were left.
 */
export class Arena {
  #chunk: Uint8Array = new Uint8Array(0);
  #used = 0;
  #bytes = 0;

  /** Bytes that were copied here, also those that nobody wants any more. */
  get bytes(): number {
    return this.#bytes;
  }

  copy(bytes: Uint8Array): Uint8Array {
    this.#bytes += bytes.byteLength;
    if (bytes.byteLength > CHUNK_BYTES / 8) return new Uint8Array(bytes);
    if (this.#used + bytes.byteLength > this.#chunk.byteLength) {
      this.#chunk = new Uint8Array(CHUNK_BYTES);
      this.#used = 0;
    }
    const copy = this.#chunk.subarray(this.#used, this.#used + bytes.byteLength);
    copy.set(bytes);
    this.#used += bytes.byteLength;
    return copy;
  }
}
