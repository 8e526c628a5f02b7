import type { Clock } from "@cortado/std/clock";
import type { Journal } from "../journal/journal.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import { CURSOR_FLUSH_MS, CURSORS_PER_GROUP_MAX } from "../limits.ts";
import type { Session } from "../session/session.ts";

/** Subscribers' acknowledgements on their way to disk: with the next group, or by themselves a little later. */
export class Cursors implements Disposable {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #dirty: Set<Session> = new Set();
  #flush: Disposable | undefined;

  constructor({ journal, clock }: { readonly journal: Journal; readonly clock: Clock }) {
    this.#journal = journal;
    this.#clock = clock;
  }

  moved(session: Session): void {
    this.#dirty.add(session);
    this.#writeLater();
  }

  forget(session: Session): void {
    this.#dirty.delete(session);
  }

  /** What goes with the group that is about to be written. */
  write(): void {
    this.#write(CURSORS_PER_GROUP_MAX);
    if (this.#dirty.size > 0) this.#writeLater();
  }

  #writeLater(): void {
    if (this.#journal.fault !== undefined) return; // the group that waits for the disk takes it along
    this.#flush ??= this.#clock.after(CURSOR_FLUSH_MS, () => {
      this.#flush = undefined;
      this.write();
    });
  }

  #write(most: number): void {
    let count = 0;
    for (const session of this.#dirty) {
      if (count >= most) return;
      count += 1;
      this.#dirty.delete(session);
      this.#journal.add({ record: jsonRecord(recordKinds.cursor, session.cursor()), committed() {} });
    }
  }

  [Symbol.dispose](): void {
    this.#flush?.[Symbol.dispose]();
    this.#flush = undefined;
    this.#write(Number.POSITIVE_INFINITY);
  }
}
