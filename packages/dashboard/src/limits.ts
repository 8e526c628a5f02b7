/** The first page of a list: what a screen shows at once, many times over. */
export const FIRST_PAGE = 200;
/** Further pages: each is one answer of a few megabytes. */
export const NEXT_PAGES = 1_000;
/** Changes of one moment are shown together. */
export const SHOW_EVERY_MS = 200;
/** A broken watch is tried again after so long at first, and at most. */
export const AGAIN_FIRST_MS = 1_000;
export const AGAIN_MAX_MS = 30_000;
/** A watch that says nothing for so long is dead: the API sends a bookmark each minute. */
export const SILENT_MS_MAX = 150_000;
/** Height of a row of a table, pixels; the style sheet says the same. */
export const ROW_PX = 36;
/** Rows above and below those that are seen. */
export const ROWS_BEYOND = 12;
/** Orders and alerts shown on a store's page. */
export const EVENTS_SHOWN = 20;
/** How far back orders are looked for: a day. */
export const ORDERS_SINCE_MS: number = 24 * 3_600_000;
