export const DAY_MS: number = 24 * 3_600_000;
/** An authority outlives the box it is on (K3s: 10 years, which its users met). */
export const CA_LIFE_MS: number = 20 * 365 * DAY_MS;
/** A leaf (K3s: 365 days). */
export const LEAF_LIFE_MS: number = 365 * DAY_MS;
/** A leaf is renewed, while running, when this share of its life is left. */
export const RENEW_SHARE: number = 1 / 3;
/** How often certificates are looked at. */
export const RENEW_LOOK_MS: number = DAY_MS / 2;
/** Clocks of a store and its clients may differ by this much. */
export const BACKDATE_MS: number = 3_600_000;
/** A node's certificates (K3s: 365 days); its agent asks for new ones when a third is left. */
export const NODE_CERTIFICATE_DAYS = 365;
/** A P-256 key in PEM has 178 bytes. */
export const PUBLIC_KEY_BYTES_MAX = 4_096;
/** One answer to a joining machine, and how long it may take. */
export const JOIN_ANSWER_BYTES_MAX: number = 256 * 1024;
export const JOIN_ANSWER_MS = 10_000;
/** First and longest wait before a server that does not answer is asked again. */
export const JOIN_RETRY_FIRST_MS = 500;
export const JOIN_RETRY_MAX_MS = 10_000;
/** How long an agent that has joined before waits for newer settings before it starts with those it has. */
export const SETTINGS_WAIT_MS = 3_000;
/** An agent is heard this often over its tunnel, and one that is silent this long is gone; a NAT forgets a silent connection in a minute or more. */
export const TUNNEL_BEAT_MS = 15_000;
export const TUNNEL_SILENT_MS = 40_000;
/** How long an agent may take to open a stream it was asked for. */
export const TUNNEL_OPEN_MS = 10_000;
/** Streams into one node at once, and streams asked for and not yet there. */
export const TUNNEL_STREAMS_MAX = 256;
/** A line over the tunnel's control connection. */
export const TUNNEL_LINE_BYTES_MAX = 1_024;
