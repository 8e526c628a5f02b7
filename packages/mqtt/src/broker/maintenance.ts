import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import { messageOf } from "@cortado/std/status";
import { COMPACT_BELOW_SHARE, DISK_RETRY_MAX_MS } from "../limits.ts";
import type { Journal } from "../journal/journal.ts";
import {
  FORMAT_VERSION,
  jsonRecord,
  readMessage,
  recordKinds,
  scanRecords,
  type HeaderRecord,
} from "../journal/records.ts";
import { STATE_FILE } from "../journal/recovery.ts";
import { Marks, type Segment } from "../journal/segment.ts";
import { willRecord } from "../journal/will-record.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Registry } from "../session/registry.ts";

export type MaintenanceOptions = {
  readonly files: Files;
  readonly folder: string;
  readonly log: Log;
  readonly broker: string;
  readonly segmentBytes: number;
  readonly journal: Journal;
  readonly registry: Registry;
  readonly time: BrokerTime;
  /** The first segment that the state file on disk does not cover. */
  readonly stateSegment: number;
  /** Disk became free. */
  readonly freed: () => void;
};

/**
 * Keeps the journal small. The state file holds what the segments before it add up to; a segment behind it is only there for the
 * messages that still wait, and goes when none does. Works only after writes, so that an idle broker leaves the disk alone.
 */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  #stateSegment: number;
  #stateBytes = 0;
  #running: Promise<void> | undefined;
  #merging: Promise<void> | undefined;
  /** Segments below this are covered as soon as the state file that is being written is in place. */
  #wantsState = false;
  #restUntilMs = 0;
  #isStopped = false;
  #fault: string | undefined;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#stateSegment = options.stateSegment;
  }

  /** Why what is on disk cannot be made smaller at present; undefined when it can. Messages are taken until a quota is full. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Looks whether something is worth doing; cheap when nothing is. */
  look(options: { readonly urgent?: boolean } = {}): void {
    const { journal, segmentBytes, broker, registry, time } = this.#options;
    if (this.#running !== undefined || time.nowMs() < this.#restUntilMs) return;
    const { retained } = registry;
    const current = journal.current;
    let since = 0;
    for (const segment of journal.segments)
      if (segment.number >= this.#stateSegment) since += segment.file.sizeBytes;
    const due =
      current !== undefined &&
      (retained.wantsCheckpoint ||
        since > Math.max(2 * segmentBytes, 2 * this.#stateBytes) ||
        (options.urgent === true && since > segmentBytes / 4));
    const doomed = journal.segments.some((segment) => this.#isDoomed(segment));
    const sparse = journal.segments.some((segment) => this.#isSparse(segment));
    if (retained.wantsMerge) this.#merging ??= this.#merge();
    if (due && !this.#wantsState) {
      // The next group opens a new segment; when it has, memory is exactly what all before it adds up to.
      this.#wantsState = true;
      journal.rotate();
      // While a full quota holds every publisher, or when none has more to say, no group would come by itself.
      if (options.urgent === true || retained.wantsCheckpoint)
        journal.add({
          record: jsonRecord(recordKinds.header, { version: FORMAT_VERSION, broker }),
          committed() {},
        });
    }
    if (doomed || sparse) this.#running = this.#work().finally(() => this.#done());
  }

  /** After a group: memory and journal agree, and if a new segment has begun with it, all before that is in memory. */
  afterGroup(): void {
    const { journal } = this.#options;
    if (!this.#wantsState || this.#running !== undefined || journal.current === undefined) return;
    if (journal.current.number <= this.#stateSegment) return;
    const covers = journal.current.number;
    const state = this.#encodeState(covers);
    this.#options.registry.retained.freeze();
    this.#wantsState = false;
    this.#running = this.#writeState(state, covers).finally(() => this.#done());
  }

  #done(): void {
    this.#running = undefined;
    this.#lookAgain();
  }

  /** There may be more to do, and no write to come that would have it looked for. */
  #lookAgain(): void {
    const { wantsCheckpoint, wantsMerge } = this.#options.registry.retained;
    if (!this.#isStopped && (wantsCheckpoint || wantsMerge)) this.look();
  }

  /** Ends what takes long, and waits for the rest. */
  async settled(): Promise<void> {
    this.#isStopped = true;
    this.#options.registry.retained.stop();
    await this.#running;
    await this.#merging;
  }

  async #writeState(state: Uint8Array, covers: number): Promise<void> {
    const { files, folder, log, registry, freed } = this.#options;
    try {
      // First: once the state file covers a segment, what it retained must lie elsewhere.
      await registry.retained.checkpoint();
      await files.replace(`${folder}/${STATE_FILE}`, state);
    } catch (error) {
      log.warn("mqtt state file could not be written; the journal keeps its segments until it can", {
        folder,
        error,
      });
      this.#rest(error);
      return;
    }
    this.#stateSegment = covers;
    this.#stateBytes = state.byteLength;
    this.#fault = undefined;
    freed(); // retained messages may have waited for it
    await this.#work();
  }

  async #work(): Promise<void> {
    const { journal, log, freed } = this.#options;
    try {
      const doomed = journal.segments.filter((segment) => this.#isDoomed(segment));
      await journal.remove(doomed);
      const sparse = journal.segments.find((segment) => this.#isSparse(segment));
      if (sparse !== undefined) await this.#compact(sparse);
      this.#fault = undefined;
      if (doomed.length > 0 || sparse !== undefined) freed();
    } catch (error) {
      log.warn("mqtt journal could not be made smaller; it is tried again later", { error });
      this.#rest(error);
    }
  }

  /** Beside everything else, as it may take seconds. */
  async #merge(): Promise<void> {
    const { registry, time, log, freed } = this.#options;
    try {
      await registry.retained.merge(time.nowMs());
      freed();
    } catch (error) {
      log.warn("mqtt retained messages could not be merged; it is tried again later", { error });
      this.#rest(error);
    }
    this.#merging = undefined;
    this.#lookAgain();
  }

  // A disk that takes no state file would get a new segment with each group.
  #rest(error: unknown): void {
    this.#fault = `cannot make the journal in ${this.#options.folder} smaller: ${messageOf(error)}`;
    this.#restUntilMs = this.#options.time.nowMs() + DISK_RETRY_MAX_MS;
  }

  #isDoomed(segment: Segment): boolean {
    return this.#isCovered(segment) && segment.rows === 0 && segment.readers === 0;
  }

  #isSparse(segment: Segment): boolean {
    const bytes = segment.file.sizeBytes;
    return (
      this.#isCovered(segment) &&
      segment.rows > 0 &&
      segment.readers === 0 &&
      segment.rowBytes < bytes * COMPACT_BELOW_SHARE &&
      bytes > 65_536
    );
  }

  // The last two stay whatever happens: the one being written, and the one before it that a failed group may have left.
  #isCovered(segment: Segment): boolean {
    const current = this.#options.journal.current;
    return (
      segment.number < this.#stateSegment &&
      segment !== current &&
      (current === undefined || segment.number < current.number)
    );
  }

  /** Writes a segment anew with only the messages that somebody waits for, in their order. */
  async #compact(segment: Segment): Promise<void> {
    const { files, registry, broker } = this.#options;
    segment.readers += 1; // nobody else compacts or removes it meanwhile
    try {
      const content = (await files.read(segment.path)) ?? new Uint8Array(0);
      const header = jsonRecord(recordKinds.header, { version: FORMAT_VERSION, broker });
      const kept: Uint8Array[] = [header];
      const marks = new Marks();
      let offset = header.byteLength;
      for (const scanned of scanRecords(content)) {
        if (scanned.kind !== recordKinds.message) continue;
        const { sequence, recipients } = readMessage(scanned.body);
        if (!recipients.some((number) => registry.byNumber.get(number)?.waitsFor(sequence) === true))
          continue;
        kept.push(content.subarray(scanned.offset, scanned.offset + scanned.bytes));
        marks.note(sequence, offset);
        offset += scanned.bytes;
      }
      if (segment.readers > 1) return; // a subscriber came to read it: another time
      await files.replace(segment.path, Buffer.concat(kept));
      const old = segment.file;
      segment.file = await files.openAppend(segment.path);
      segment.marks = marks;
      segment.generation += 1;
      this.#options.journal.measure();
      await old[Symbol.asyncDispose]();
    } finally {
      segment.readers -= 1;
    }
  }

  #encodeState(covers: number): Uint8Array {
    const { registry, broker, time } = this.#options;
    const header: HeaderRecord = {
      version: FORMAT_VERSION,
      broker,
      time: time.pair(),
      segment: covers,
      nextSequence: registry.nextSequence,
      nextSession: registry.nextSession,
      nextWill: registry.nextWill,
    };
    const records = [jsonRecord(recordKinds.header, header)];
    for (const session of registry.byNumber.values())
      records.push(jsonRecord(recordKinds.session, session.toRecord()));
    for (const heard of registry.heard.records()) records.push(jsonRecord(recordKinds.heard, heard));
    for (const kept of registry.wills.values()) records.push(jsonRecord(recordKinds.will, willRecord(kept)));
    return Buffer.concat(records);
  }
}
