/** Largest packet taken from a client unless the broker says otherwise (mosquitto 2.1's default is 2,000,000). */
export const PACKET_BYTES_MAX = 1_048_576;
/** Longest a remaining-length field may be (MQTT 3.1.1, section 2.2.3). */
export const LENGTH_FIELD_BYTES_MAX = 4;
/** Longest topic or filter (MQTT 3.1.1, section 4.7.3). */
export const TOPIC_BYTES_MAX = 65_535;
/** Levels of a topic or filter: deeper ones cost a tree node each, and nothing sensible has them (mosquitto allows 200). */
export const TOPIC_LEVELS_MAX = 200;
/** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
export const FILTERS_PER_PACKET_MAX = 1_000;
