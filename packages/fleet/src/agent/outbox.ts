import type { Clock } from "@cortado/std/clock";
import type { BundleReport, Status } from "../protocol/protocol.ts";
import { ACK_MS_MAX } from "./limits.ts";

export type OutboxOptions = {
  readonly clock: Clock;
  /** A number that no status of this store ever had; durable. */
  readonly nextSequence: () => Promise<number>;
};

type Sending = {
  readonly sequence: number;
  readonly reports: readonly BundleReport[];
  readonly alarm: Disposable;
};

/** Reports on their way to the hub: the newest of each bundle, sent until the hub says that it is on its disk. One message at a time. */
export class StatusOutbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Map<string, BundleReport> = new Map();
  #sending: Sending | undefined;
  #send: ((status: Status) => Promise<void>) | undefined;
  #isBusy = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  put(name: string, report: BundleReport | undefined): void {
    if (report === undefined) this.#waiting.delete(name);
    else this.#waiting.set(name, report);
    void this.#pump();
  }

  /** There is a connection: what waits goes out, and what was not acknowledged goes out again. */
  connect(send: (status: Status) => Promise<void>): void {
    this.#send = send;
    void this.#pump();
  }

  disconnect(): void {
    this.#send = undefined;
    this.#takeBack();
  }

  acknowledge(sequence: number): void {
    if (this.#sending?.sequence !== sequence) return;
    this.#sending.alarm[Symbol.dispose]();
    this.#sending = undefined;
    void this.#pump();
  }

  // What was not acknowledged waits again, unless something newer does.
  #takeBack(): void {
    const sending = this.#sending;
    this.#sending = undefined;
    sending?.alarm[Symbol.dispose]();
    for (const report of sending?.reports ?? [])
      if (!this.#waiting.has(report.name)) this.#waiting.set(report.name, report);
  }

  async #pump(): Promise<void> {
    const send = this.#send;
    if (this.#isBusy || send === undefined || this.#sending !== undefined || this.#waiting.size === 0) return;
    this.#isBusy = true;
    try {
      const sequence = await this.#options.nextSequence();
      if (this.#send !== send) return;
      const bundles = [...this.#waiting.values()];
      this.#waiting.clear();
      const alarm = this.#options.clock.after(ACK_MS_MAX, () => {
        this.#takeBack();
        void this.#pump();
      });
      this.#sending = { sequence, reports: bundles, alarm };
      await send({ type: "status", sequence, bundles });
    } catch {
      // The connection ended, or the store's API did not take the number: the next connection or change tries again.
      this.#takeBack();
    } finally {
      this.#isBusy = false;
      if (this.#send !== undefined && this.#send !== send) void this.#pump();
    }
  }
}
