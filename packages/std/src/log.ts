import type { Clock } from "./clock.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** A log line is an event: the message is constant text, what varies is a field. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log that adds these fields to each line. */
  with(fields: LogFields): Log;
}

export type LogOptions = {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** Gets one line without its newline. Must not throw and must not block: a log never holds up work. */
  readonly write: (line: string) => void;
};

/** JSON lines: `{"at","level","message",…fields}`. */
export function jsonLog(options: LogOptions, fields: LogFields = {}): Log {
  const least = logLevels.indexOf(options.level);
  const emit = (level: LogLevel, message: string, more: LogFields | undefined): void => {
    if (logLevels.indexOf(level) < least) return;
    const at = new Date(options.clock.nowMs()).toISOString();
    options.write(toLine({ at, level, message, ...fields, ...more }));
  };
  return {
    debug: (message, more) => emit("debug", message, more),
    info: (message, more) => emit("info", message, more),
    warn: (message, more) => emit("warn", message, more),
    error: (message, more) => emit("error", message, more),
    with: (more) => jsonLog(options, { ...fields, ...more }),
  };
}

function toLine(record: LogFields): string {
  return JSON.stringify(record, (_key, value: unknown) => {
    if (value instanceof Error)
      return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
    return typeof value === "bigint" ? value.toString() : value;
  });
}
