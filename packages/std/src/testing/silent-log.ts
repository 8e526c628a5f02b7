import type { Log, LogFields } from "../log.ts";

/** Keeps no line; for tests that do not look at logs. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silentLog };

export type KeptLine = { readonly level: string; readonly message: string; readonly fields: LogFields };

/** Keeps each line, for tests that do. */
export function keptLog(): { readonly log: Log; readonly lines: readonly KeptLine[] } {
  const lines: KeptLine[] = [];
  const make = (base: LogFields): Log => {
    const keep = (level: string) => (message: string, fields?: LogFields) =>
      void lines.push({ level, message, fields: { ...base, ...fields } });
    const log: Log = {
      debug: keep("debug"),
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
      with: (more) => make({ ...base, ...more }),
    };
    return log;
  };
  return { log: make({}), lines };
}
