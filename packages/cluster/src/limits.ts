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
