/** How long the hub keeps what stores told it, the least important first: in this order events go when there are too many bytes. */
export const retention = [
  { kinds: ["log"], days: 7 },
  { kinds: ["metric"], days: 7 },
  { kinds: ["event"], days: 90 },
  { kinds: ["machine"], days: 90 },
  { kinds: ["alert"], days: 400 },
  // A year's orders and some weeks to look at them. Days count from when the hub had an event: a store may have been dark for a year.
  { kinds: ["order", "payment"], days: 400 },
] as const;

/** What no rule names (a newer store's kinds) is kept as logs are. */
export const OTHER_KINDS_DAYS = 7;

export const knownKinds: readonly string[] = retention.flatMap(({ kinds }) => kinds);
