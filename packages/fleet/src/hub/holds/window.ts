import { Cron } from "croner";
import { messageOf, StatusError } from "@cortado/std/status";
import { parseDuration } from "../../git/duration.ts";

export type ScheduleSpec = {
  readonly schedule?: string;
  readonly duration?: string;
  readonly location?: string;
};

export type Window = {
  readonly isOpen: boolean;
  /** When it opens next, milliseconds since 1970; undefined: never again. */
  readonly nextStartMs: number | undefined;
  /** When it has to be looked at again. */
  readonly turnsAtMs: number | undefined;
};

/**
 * Whether a Schedule's window is open (fleet.md 1.3): it opens at each time of a Quartz expression (seconds first, Sunday is 1) and stays
 * open for `duration`. Pure.
 * @throws StatusError "Invalid" that names the field and what to write
 */
export function windowAt(spec: ScheduleSpec, nowMs: number): Window {
  const { schedule = "", duration = "", location = "" } = spec;
  const durationMs = parseDuration(duration) ?? 0;
  if (durationMs <= 0)
    throw new StatusError(
      "Invalid",
      `spec.duration ${JSON.stringify(duration)} is no duration; write 2h or 30m`,
    );
  const cron = read(schedule, location);
  // The last time that is not older than the window is long.
  const last = cron.nextRun(new Date(nowMs - durationMs))?.getTime();
  const next = cron.nextRun(new Date(nowMs))?.getTime();
  const after = next === undefined ? undefined : cron.nextRun(new Date(next))?.getTime();
  if (next !== undefined && after !== undefined && after - next <= durationMs)
    throw new StatusError(
      "Invalid",
      `spec.duration ${duration} is not shorter than the time between two starts of spec.schedule ${JSON.stringify(schedule)}; shorten it`,
    );
  const isOpen = last !== undefined && last <= nowMs;
  return { isOpen, nextStartMs: next, turnsAtMs: isOpen ? last + durationMs : next };
}

function read(schedule: string, location: string): Cron {
  // Quartz wants `?` in one of the two day fields; it says nothing.
  const pattern = schedule.replaceAll("?", "*");
  const zone = location === "" || location === "Local" ? {} : { timezone: location };
  try {
    const cron = new Cron(pattern, {
      paused: true,
      mode: "6-or-7-parts",
      alternativeWeekdays: true,
      ...zone,
    });
    cron.nextRun(new Date(0));
    return cron;
  } catch (cause) {
    throw new StatusError(
      "Invalid",
      `spec.schedule ${JSON.stringify(schedule)}${location === "" ? "" : ` in ${location}`} cannot be read (${messageOf(cause)}); ` +
        'write seconds, minutes, hours, day, month, weekday, such as "0 0 2 * * ?"',
      { cause },
    );
  }
}
