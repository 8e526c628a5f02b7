/**
 * Packet ids of QoS 2 publishes that their sender has not released. One that is admitted makes its resend a duplicate at once; on
 * disk it may stand only when its message does, or the resend after a power cut would be answered without the message.
 */
export class Receiving {
  /** By id, whether its message is on disk. Most clients never publish with QoS 2. */
  #ids: Map<number, boolean> | undefined;

  has(id: number): boolean {
    return this.#ids?.has(id) === true;
  }

  admit(id: number): void {
    (this.#ids ??= new Map()).set(id, false);
  }

  commit(id: number): void {
    (this.#ids ??= new Map()).set(id, true);
  }

  release(id: number): void {
    this.#ids?.delete(id);
  }

  /** All, on disk or on their way there. */
  get all(): readonly number[] {
    return this.#ids === undefined ? [] : [...this.#ids.keys()];
  }

  /** Those whose messages are on disk. */
  get committed(): readonly number[] {
    return this.#ids === undefined ? [] : [...this.#ids].flatMap(([id, onDisk]) => (onDisk ? [id] : []));
  }
}
