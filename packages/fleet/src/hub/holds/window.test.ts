import assert from "node:assert/strict";
import { test } from "node:test";
import { windowAt } from "./window.ts";

const at = (text: string): number => Date.parse(text);

for (const { name, spec, now, isOpen, next, turns } of [
  {
    name: "before it opens",
    spec: { schedule: "0 0 2 * * ?", duration: "2h", location: "UTC" },
    now: "2026-03-04T01:59:59Z",
    isOpen: false,
    next: "2026-03-04T02:00:00Z",
    turns: "2026-03-04T02:00:00Z",
  },
  {
    name: "as it opens",
    spec: { schedule: "0 0 2 * * ?", duration: "2h", location: "UTC" },
    now: "2026-03-04T02:00:00Z",
    isOpen: true,
    next: "2026-03-05T02:00:00Z",
    turns: "2026-03-04T04:00:00Z",
  },
  {
    name: "as it closes",
    spec: { schedule: "0 0 2 * * ?", duration: "2h", location: "UTC" },
    now: "2026-03-04T04:00:00Z",
    isOpen: false,
    next: "2026-03-05T02:00:00Z",
    turns: "2026-03-05T02:00:00Z",
  },
  {
    name: "weekdays count from Sunday = 1, in a zone of their own",
    spec: { schedule: "0 30 22 ? * 1", duration: "1h", location: "Europe/Rome" },
    now: "2026-03-01T21:45:00Z",
    isOpen: true,
    next: "2026-03-08T21:30:00Z",
    turns: "2026-03-01T22:30:00Z",
  },
] as const)
  test(`a window: ${name}`, () => {
    const window = windowAt(spec, at(now));
    assert.deepEqual(window, { isOpen, nextStartMs: at(next), turnsAtMs: at(turns) });
  });

for (const { spec, message } of [
  { spec: { schedule: "0 0 2 * * ?" }, message: /spec\.duration "" is no duration/ },
  { spec: { schedule: "0 0 2 * * ?", duration: "3d" }, message: /spec\.duration "3d" is no duration/ },
  { spec: { schedule: "0 0 2 * * ?", duration: "24h" }, message: /24h is not shorter than the time between/ },
  { spec: { schedule: "at night", duration: "1h" }, message: /spec\.schedule "at night" cannot be read/ },
  {
    spec: { schedule: "0 0 2 * * ?", duration: "1h", location: "Mars/Olympus" },
    message: /in Mars\/Olympus cannot be read/,
  },
])
  test(`a window that cannot be read: ${JSON.stringify(spec)}`, () => {
    assert.throws(() => windowAt(spec, 0), message);
  });
