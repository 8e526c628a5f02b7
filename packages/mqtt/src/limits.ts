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
/** A group begins before the turn of the loop has ended when so many entries wait, where the last took the disk no longer than this. */
export const GROUP_EARLY_ITEMS = 32;
export const GROUP_EARLY_SYNC_MS_MAX = 1;
/** How often keep-alives are looked at. */
export const SWEEP_MS = 1_000;
/** Publishes of one connection that are not on disk yet; above it the socket is not read. */
export const UNCOMMITTED_BYTES_MAX = 524_288;
export const UNCOMMITTED_ITEMS_MAX = 2_000;
/** Publishes of one connection kept back by a full quota; while it has fewer, its other packets are still read. */
export const HELD_ITEMS_MAX = 100;
/** Bytes on their way to a client: above it QoS 0 is dropped and counted, QoS 1 waits. */
export const OUTGOING_BYTES_MAX = 1_048_576;
/** Topics for which the subscription tree remembers who was found. */
export const TOPICS_KNOWN_MAX = 512;
export const KNOWN_TOPIC_LENGTH_MAX = 256;
/** Records of messages are cut from blocks of so many bytes, larger ones than an eighth of it have their own. */
export const POOL_BLOCK_BYTES = 16_384;
/** Longer frames are not copied to be sent with others. */
export const JOINED_FRAME_BYTES_MAX = 4_096;
/** What waits in memory for one client (a clean session's QoS 1, retained messages); one that is slower is disconnected. */
export const CLEAN_QUEUE_ITEMS_MAX = 50_000;
export const CLEAN_QUEUE_BYTES_MAX: number = 8 * 1_048_576;
/** Committed messages kept in memory for subscribers that are nearly up to date; the rest is read from disk. */
export const RECENT_BYTES_MAX: number = 2 * 1_048_576;
export const RECENT_ITEMS_MAX = 4_000;
/** What is read from a segment at a time. */
export const READ_BYTES = 131_072;
/** Of the messages in a segment one in so many bytes has its place kept in memory. */
export const MARK_BYTES = 16_384;
/** So much is read for a session for which so few messages wait in a segment. */
export const READ_FEW_BYTES = 32_768;
export const READ_FEW_ITEMS = 8;
/** Sessions whose messages are read from disk at once; on the morning after a power cut they may all want to. */
export const READS_AT_ONCE = 8;
/** Most bytes in one group commit. */
export const GROUP_BYTES_MAX: number = 2 * 1_048_576;
/** Acknowledgements of subscribers are written with the next group, or by themselves after this. */
export const CURSOR_FLUSH_MS = 50;
/** Cursors that go with one group, so that no turn of the loop is made of nothing else. */
export const CURSORS_PER_GROUP_MAX = 500;
/** Live messages that wait while retained ones begin to go to a new subscription; more than that do not wait for them. */
export const REPLAY_HELD_MAX = 1_000;
/** Topics of which a long replay brings what is retained out of its turn, as something newer comes on them. */
export const REPLAY_BROUGHT_MAX = 10_000;
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

/** Lines of topics of one bridge. */
export const BRIDGE_TOPICS_MAX = 1_000;
/** Bridges of one broker: each has a session, a connection and its timers. */
export const BRIDGES_MAX = 100;
/** Publishes of QoS 1 and 2 on their way to a remote that does not say how many it takes. */
export const BRIDGE_INFLIGHT_MAX = 100;
/** Publishes of QoS 1 and 2 that a remote may have on their way to us (MQTT 5, receive maximum). */
export const BRIDGE_RECEIVE_MAX = 100;
/** As mosquitto's keepalive_interval. */
export const BRIDGE_KEEP_ALIVE_S = 60;
/** How long the remote may take to answer CONNECT, SUBSCRIBE or PINGREQ. */
export const BRIDGE_ANSWER_WAIT_MS = 20_000;
/** Waits between tries: 5 s to 30 s are mosquitto's; a store must not add to the storm after a central outage. */
export const BRIDGE_BACKOFF_FIRST_MS = 1_000;
export const BRIDGE_BACKOFF_MAX_MS = 60_000;
/** A connection that stood so long counts as good: the next wait is a short one again. */
export const BRIDGE_STABLE_MS = 10_000;
/** How often a message of the remote that found no room here is tried again. */
export const BRIDGE_HELD_RETRY_MS = 1_000;
/** Stretches that a bridge tells in its mark, and that a queue may fall into before a bridge works the oldest off first again. */
export const BRIDGE_SPANS_TOLD_MAX = 4;
export const BRIDGE_SPANS_MAX = 64;
/** How often a bridge's state is looked at for its object's status, and how often counters alone are written there. */
export const BRIDGE_STATUS_EVERY_MS = 1_000;
export const BRIDGE_COUNTERS_EVERY_MS = 60_000;
/** What the budget keeps back waits at least so long, so that several messages share a timer. */
export const BRIDGE_PACE_MS = 20;
/** Bridges that a message may have come over: more is a loop of others' making. */
export const BRIDGE_HOPS_MAX = 16;
/** Client ids for which it is remembered what their bridges have brought; the one that was silent longest is forgotten. */
export const HEARD_BRIDGES_MAX = 100_000;
/** Single sequences remembered of one bridge; its window is 100, so that more are lost by its doing. */
export const HEARD_SEQUENCES_MAX = 10_000;
