import { assert } from "@cortado/std/assert";
import { PACKET_BYTES_MAX } from "@cortado/wire/mqtt";

/** What a broker may be told at its start; each has the default that follows. */
export type BrokerLimits = {
  /** Largest packet of a client, and so largest message. */
  readonly packetBytesMax: number;
  readonly connectionsMax: number;
  readonly sessionsMax: number;
  /** Messages that wait for one persistent session. */
  readonly sessionItemsMax: number;
  readonly sessionBytesMax: number;
  /** Bytes that wait for all persistent sessions of one tenant; a message counts for each of them. */
  readonly tenantBytesMax: number;
  /** Disk for the whole journal, with what is not compacted yet. */
  readonly diskBytesMax: number;
  readonly segmentBytes: number;
  readonly retainedItemsMax: number;
  /** Disk for retained messages, with what is superseded and not merged away yet. */
  readonly retainedBytesMax: number;
  readonly subscriptionsPerSessionMax: number;
  /** QoS 1 messages sent to a client and not acknowledged by it. */
  readonly inflightMax: number;
  /** A persistent session of a client before MQTT 5 is forgotten, with its queue, when nobody came back to it for this long. */
  readonly sessionExpiryMs: number;
  /** QoS 1 and 2 publishes of an MQTT 5 client that may be unanswered (receive maximum, section 3.2.2.3.3). */
  readonly receiveMax: number;
  /** Topic aliases that a client may set, and that it is set if it takes as many. */
  readonly topicAliasMax: number;
  /** An MQTT 5 client that asks for a longer keep-alive, or none, is given this (server keep alive); 0: as it asks. */
  readonly keepAliveMaxS: number;
};

export const brokerLimits: BrokerLimits = {
  packetBytesMax: PACKET_BYTES_MAX,
  connectionsMax: 10_000,
  sessionsMax: 10_000,
  sessionItemsMax: 2_000_000,
  sessionBytesMax: 384 * 1_048_576,
  tenantBytesMax: 768 * 1_048_576,
  diskBytesMax: 512 * 1_048_576,
  segmentBytes: 4 * 1_048_576,
  retainedItemsMax: 2_000_000,
  retainedBytesMax: 512 * 1_048_576,
  subscriptionsPerSessionMax: 1_000,
  inflightMax: 100,
  sessionExpiryMs: 30 * 24 * 3_600_000,
  receiveMax: 1_000,
  topicAliasMax: 64,
  keepAliveMaxS: 0,
};

/** Longest client id; the standard asks for 23 (MQTT 3.1.1, section 3.1.3.1). */
export const CLIENT_ID_BYTES_MAX = 1_024;
/** Before CONNECT nobody is known: a packet of a stranger is at most this (client id, will, user and password). */
export const CONNECT_BYTES_MAX = 131_072;
/** A connection that says nothing is closed after this. */
export const CONNECT_WAIT_MS = 10_000;
/** A client is gone after one and a half times its keep-alive (MQTT 3.1.1, section 3.1.2.10). */
export const KEEP_ALIVE_FACTOR = 1.5;
/** How long the broker works in one turn of the loop before all else that runs in the process has its turn. */
export const TURN_MS = 5;
/** How often keep-alives are looked at. */
export const SWEEP_MS = 1_000;
/** Publishes of one connection that are not on disk yet; above it the socket is not read. */
export const UNCOMMITTED_BYTES_MAX = 524_288;
export const UNCOMMITTED_ITEMS_MAX = 2_000;
/** Publishes of one connection kept back by a full quota; while it has fewer, its other packets are still read. */
export const HELD_ITEMS_MAX = 100;
/** Bytes on their way to a client: above it QoS 0 is dropped and counted, QoS 1 waits. */
export const OUTGOING_BYTES_MAX = 1_048_576;
/** What waits in memory for one client (a clean session's QoS 1, retained messages); one that is slower is disconnected. */
export const CLEAN_QUEUE_ITEMS_MAX = 50_000;
export const CLEAN_QUEUE_BYTES_MAX: number = 8 * 1_048_576;
/** Committed messages kept in memory for subscribers that are nearly up to date; the rest is read from disk. */
export const RECENT_BYTES_MAX: number = 2 * 1_048_576;
export const RECENT_ITEMS_MAX = 4_000;
/** What is read from a segment at a time. */
export const READ_BYTES = 131_072;
/** Most bytes in one group commit. */
export const GROUP_BYTES_MAX: number = 2 * 1_048_576;
/** Acknowledgements of subscribers are written with the next group, or by themselves after this. */
export const CURSOR_FLUSH_MS = 50;
/** After a failed write: first and longest wait before the next try. */
export const DISK_RETRY_FIRST_MS = 100;
export const DISK_RETRY_MAX_MS = 2_000;
/** A sealed segment whose live part is below this is written anew, smaller. */
export const COMPACT_BELOW_SHARE = 0.25;
/** How often a broker that somebody watches publishes its $SYS topics (mosquitto's sys_interval). */
export const SYS_INTERVAL_MS = 10_000;
/** The wall clock may say that the broker was away for so long at most; what it says beyond is not believed. */
export const CLOCK_GAP_MAX_MS: number = 5 * 365 * 24 * 3_600_000;
/** Wills that wait for their delay; the oldest is published early. */
export const DELAYED_WILLS_MAX = 10_000;
/** Wills that wait for room; the oldest is dropped and counted. Nobody was promised anything about them. */
export const HELD_WILLS_MAX = 1_000;
/** Retained messages that only the journal and memory hold: so many begin a checkpoint. */
export const RETAINED_FRESH_ITEMS = 16_384;
export const RETAINED_FRESH_BYTES: number = 4 * 1_048_576;
/** While the checkpoint is behind, publishes are held beyond these. */
export const RETAINED_FRESH_ITEMS_MAX = 65_536;
export const RETAINED_FRESH_BYTES_MAX: number = 32 * 1_048_576;
/** What is read of a run of retained messages at a time, to find one in it. */
export const RETAINED_BLOCK_BYTES = 16_384;
/** A run is synced each time so much of it is written. */
export const RETAINED_SYNC_BYTES: number = 4 * 1_048_576;
/** Retained messages for new subscriptions: so many are read for at once, by turns of so many batches. */
export const REPLAYS_AT_ONCE = 8;
export const REPLAY_TURN_BATCHES = 16;
/** What waits for one client before more retained messages are read for it. */
export const REPLAY_ITEMS_AHEAD = 100;
export const REPLAY_BYTES_AHEAD: number = 512 * 1_024;
/** What a record needs beside topic and payload: header, numbers, and four bytes for each recipient. */
export const RECORD_BYTES_MAX: number = PACKET_BYTES_MAX * 8;

assert(GROUP_BYTES_MAX > PACKET_BYTES_MAX, "a group holds the largest packet");
assert(RECENT_BYTES_MAX > PACKET_BYTES_MAX, "the newest message is always in memory");
assert(brokerLimits.diskBytesMax > 4 * brokerLimits.segmentBytes, "compaction needs segments to work on");

/** The in-process client: publishes that wait for their PUBACK; one more is refused. */
export const CLIENT_PUBLISHES_MAX = 1_000;
/** Its keep-alive. */
export const CLIENT_KEEP_ALIVE_S = 60;
/** Its waits between tries to connect. */
export const CLIENT_RETRY_FIRST_MS = 100;
export const CLIENT_RETRY_MAX_MS = 10_000;
/** How long it waits for CONNACK. */
export const CLIENT_CONNACK_WAIT_MS = 10_000;
