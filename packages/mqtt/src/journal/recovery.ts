import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { UNKNOWN_MS, type TimePair } from "../session/broker-time.ts";
import type { HeardRecord } from "../session/heard-bridges.ts";
import { RetainedMessages } from "../retained/retained.ts";
import { Registry } from "../session/registry.ts";
import {
  FORMAT_VERSION,
  readJson,
  readMessage,
  recordKinds,
  scanRecords,
  type CursorRecord,
  type FiltersRecord,
  type HeaderRecord,
  type PresenceRecord,
  type ReceivedRecord,
  type ReleasedRecord,
  type Scanned,
  type SessionRecord,
  type UnsubscribedRecord,
} from "./records.ts";
import { newSegment, noteMessageAt, segmentNumber, type Segment } from "./segment.ts";
import { readWill, type WillRecord } from "./will-record.ts";

export const STATE_FILE = "state";

export type Recovered = {
  readonly registry: Registry;
  readonly broker: string;
  readonly segments: readonly Segment[];
  readonly nextSegment: number;
  /** The first segment that the state file does not cover. */
  readonly stateSegment: number;
  /** The newest time that a record tells. */
  readonly lastTime: TimePair | undefined;
  /** Files found damaged, set aside under these names. */
  readonly setAside: readonly string[];
};

type Ports = {
  readonly files: Files;
  readonly folder: string;
  readonly log: Log;
  readonly random: Random;
  readonly nowMs: number;
  /** Whose quota a user's sessions count against. */
  readonly tenantOf: (user: string) => string;
};
type WholeRecord = Exclude<Scanned, { kind: "gap" }>;

/**
 * Reads the state file and the segments into a registry. A torn tail, the mark of a power cut, is cut; a file with damage in its
 * midst is set aside and what is sound in it goes on living, so that one bad sector never keeps a broker from starting.
 */
export async function recover(ports: Ports): Promise<Recovered> {
  const { files, folder } = ports;
  await files.makeFolder(folder);
  const { retained, setAside: runsSetAside } = await RetainedMessages.open(ports);
  const setAside: string[] = [...runsSetAside];
  const registry = new Registry({ retained, tenantOf: ports.tenantOf });
  const state = await readFile(ports, { name: STATE_FILE, last: false, setAside });
  let header = applyState(registry, state);
  let lastTime = timeIn(state);
  const names = (await files.list(folder)).filter((name) => segmentNumber(name) !== undefined);
  const newest = names.at(-1);
  const stateSegment = header?.segment ?? 0;
  // Twice over the new ones: which rows still wait is known only when every cursor is.
  for (const name of names.filter((one) => (segmentNumber(one) ?? 0) >= stateSegment)) {
    const records = await readFile(ports, { name, last: name === newest, setAside });
    header = headerOf(records) ?? header;
    for (const record of records) applyControl(registry, record);
    lastTime = timeIn(records) ?? lastTime;
  }
  const segments = await readRows(ports, { names, registry, setAside });
  return {
    registry,
    broker: header?.broker ?? ports.random.uuid().slice(0, 8),
    segments,
    nextSegment: (newest === undefined ? stateSegment : (segmentNumber(newest) ?? 0)) + 1,
    stateSegment,
    lastTime,
    setAside,
  };
}

type FileToRead = { readonly name: string; readonly last: boolean; readonly setAside: string[] };

async function readFile(ports: Ports, { name, last, setAside }: FileToRead): Promise<readonly WholeRecord[]> {
  const { files, folder, log } = ports;
  const path = `${folder}/${name}`;
  const bytes = await files.read(path);
  if (bytes === undefined) return [];
  const records: WholeRecord[] = [];
  const gaps: { offset: number; bytes: number }[] = [];
  for (const scanned of scanRecords(bytes)) {
    if (scanned.kind === "gap") gaps.push(scanned);
    else records.push(scanned);
  }
  const [gap] = gaps;
  if (gap === undefined) return records;
  const soundBytes = gap.offset;
  const atEnd = gaps.length === 1 && gap.offset + gap.bytes === bytes.byteLength;
  // Only the newest can have been cut off in the middle of a write; an older one's end was whole once.
  if (atEnd && last) {
    log.info("mqtt journal had a torn tail, cut", { path, bytes: gap.bytes });
    await using file = await files.openAppend(path);
    await file.truncate(soundBytes);
    return records;
  }
  const aside = `damaged-${name}-${ports.nowMs}`;
  log.error("mqtt journal file is damaged: it is set aside, what is sound in it is kept", {
    path,
    setAsideAs: aside,
    damagedBytes: gaps.reduce((sum, one) => sum + one.bytes, 0),
  });
  const sound = Buffer.concat(records.map((record) => slice(bytes, record)));
  try {
    // A copy, and then the sound part in its place: whenever the power goes, one of the two is whole.
    await files.replace(`${folder}/${aside}`, bytes);
    await files.replace(path, sound);
  } catch (error) {
    log.error("mqtt damaged journal file could not be set aside; it is read as it is", { path, error });
    return records;
  }
  setAside.push(aside);
  return readFile(ports, { name, last, setAside });
}

function slice(bytes: Uint8Array, { offset, bytes: length }: WholeRecord): Uint8Array {
  return bytes.subarray(offset, offset + length);
}

function headerOf(records: readonly WholeRecord[]): HeaderRecord | undefined {
  const found = records.find(({ kind }) => kind === recordKinds.header);
  if (found === undefined) return undefined;
  const header = readJson<HeaderRecord>(found.body);
  if (header.version > FORMAT_VERSION)
    throw new StatusError(
      "NotImplemented",
      `the mqtt journal has format ${header.version}, this release reads up to ${FORMAT_VERSION}; start the release that wrote it`,
    );
  return header;
}

const timed: ReadonlySet<number> = new Set([recordKinds.header, recordKinds.session, recordKinds.presence]);

/** The last time that these records tell; those of format 1 tell none. */
function timeIn(records: readonly WholeRecord[]): TimePair | undefined {
  const last = records.findLast(
    ({ kind, body }) => timed.has(kind) && readJson<Timed>(body).time !== undefined,
  );
  return last === undefined ? undefined : readJson<Timed>(last.body).time;
}

type Timed = { readonly time?: TimePair };

function applyState(registry: Registry, records: readonly WholeRecord[]): HeaderRecord | undefined {
  const header = headerOf(records);
  registry.nextSequence = header?.nextSequence ?? 1;
  registry.nextSession = header?.nextSession ?? 1;
  registry.nextWill = header?.nextWill ?? 1;
  for (const { kind, body } of records) {
    if (kind === recordKinds.session) registry.addPersistent(readJson<SessionRecord>(body), UNKNOWN_MS);
    else if (kind === recordKinds.heard) registry.heard.apply(readJson<HeardRecord>(body));
    else if (kind === recordKinds.will) registry.keepWill(readWill(readJson<WillRecord>(body)));
    else if (kind === recordKinds.retained) registry.retained.keep(readMessage(body));
  }
  return header;
}

function applyControl(registry: Registry, { kind, body }: WholeRecord): void {
  switch (kind) {
    case recordKinds.message:
      registry.noteMessage(readMessage(body));
      return;
    case recordKinds.session:
      registry.addPersistent(readJson<SessionRecord>(body), UNKNOWN_MS);
      return;
    case recordKinds.sessionRemoved: {
      const session = registry.byNumber.get(readJson<{ session: number }>(body).session);
      if (session !== undefined) registry.remove(session, () => undefined);
      return;
    }
    case recordKinds.subscribed: {
      const { session, filters } = readJson<FiltersRecord>(body);
      const known = registry.byNumber.get(session);
      if (known !== undefined) registry.subscribe(known, filters);
      return;
    }
    case recordKinds.unsubscribed: {
      const { session, filters } = readJson<UnsubscribedRecord>(body);
      const known = registry.byNumber.get(session);
      if (known !== undefined) registry.unsubscribe(known, filters);
      return;
    }
    case recordKinds.cursor:
      registry.setCursor(readJson<CursorRecord>(body));
      return;
    case recordKinds.heard:
      registry.heard.apply(readJson<HeardRecord>(body));
      return;
    case recordKinds.presence:
      registry.setPresence(readJson<PresenceRecord>(body), UNKNOWN_MS);
      return;
    case recordKinds.received: {
      const { session, sequence } = readJson<ReceivedRecord>(body);
      const known = registry.byNumber.get(session);
      if (known?.waitsFor(sequence) === true) known.released.add(sequence);
      return;
    }
    case recordKinds.released: {
      const { session, packetId } = readJson<ReleasedRecord>(body);
      registry.byNumber.get(session)?.receiving.release(packetId);
      return;
    }
    case recordKinds.will:
      registry.keepWill(readWill(readJson<WillRecord>(body)));
      return;
    case recordKinds.willGone:
      registry.wills.delete(readJson<{ id: number }>(body).id);
      return;
    default: // header, seal: nothing to apply
  }
}

type Names = {
  readonly names: readonly string[];
  readonly registry: Registry;
  readonly setAside: string[];
};

async function readRows(ports: Ports, { names, registry, setAside }: Names): Promise<readonly Segment[]> {
  const { files, folder } = ports;
  const segments: Segment[] = [];
  let seen = 0;
  for (const name of names) {
    const path = `${folder}/${name}`;
    const records = await readFile(ports, { name, last: name === names.at(-1), setAside });
    const file = await files.openAppend(path);
    // A killed broker may have left what it never synced: numbers and cursors count on it from here on, so it must stay.
    await file.sync();
    const number = segmentNumber(name) ?? 0;
    const segment = newSegment({ number, path, file });
    segments.push(segment);
    for (const { kind, body, bytes, offset } of records) {
      if (kind !== recordKinds.message) continue;
      const message = readMessage(body);
      registry.nextSequence = Math.max(registry.nextSequence, message.sequence + 1);
      noteMessageAt(segment, { sequence: message.sequence, offset });
      // A group that was tried twice, after a failed sync, may lie in two segments.
      if (message.sequence <= seen) continue;
      seen = message.sequence;
      registry.addRows(message, { segment, bytes });
    }
  }
  for (const session of registry.byNumber.values())
    for (const { items, bytes } of session.rows.values()) {
      session.items += items;
      session.bytes += bytes;
    }
  return segments;
}
