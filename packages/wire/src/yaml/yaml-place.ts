import {
  EVENT_ALIAS,
  EVENT_DOCUMENT,
  EVENT_MAPPING,
  EVENT_POP,
  EVENT_SCALAR,
  EVENT_SEQUENCE,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE_DOUBLE_QUOTED,
  SCALAR_STYLE_SINGLE_QUOTED,
  type Event,
} from "js-yaml";
import { JSON_DEPTH_MAX } from "../json/json.ts";

/** Where something stands in a text; both count from 1. */
export type Place = { readonly line: number; readonly column: number };

export type YamlPath = readonly (string | number)[];

/**
 * Where a value of the first document stands: its key, or the item of a list. The nearest that exists above it when it is not there itself
 * (behind an alias, for example).
 */
export function placeOf(text: string, path: YamlPath): Place {
  return placeAt(text, offsetOf(text, parseEvents(text, { maxDepth: JSON_DEPTH_MAX }), path));
}

/** Line and column of an offset. */
export function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

type Frame = {
  readonly isList: boolean;
  /** How many steps of the path lead here; -1: it is not on the way. */
  readonly depth: number;
  item: number;
  key: { readonly name: string; readonly offset: number } | undefined;
};

function offsetOf(text: string, events: readonly Event[], path: YamlPath): number {
  const frames: Frame[] = [];
  let best = { depth: -1, offset: 0 };
  for (const event of events.slice(1)) {
    if (event.type === EVENT_DOCUMENT) break;
    if (event.type === EVENT_POP) {
      frames.pop();
      continue;
    }
    const above = frames.at(-1);
    const start = startOf(event);
    if (above !== undefined && !above.isList && above.key === undefined) {
      const name = event.type === EVENT_SCALAR ? getScalarValue(text, event) : "";
      above.key = { name, offset: start };
      continue;
    }
    const found = above === undefined ? { depth: 0, offset: start } : stepOf(above, start, path);
    if (found.depth > best.depth) best = found;
    if (above !== undefined) {
      above.item += 1;
      above.key = undefined;
    }
    if (event.type === EVENT_MAPPING || event.type === EVENT_SEQUENCE)
      frames.push({ isList: event.type === EVENT_SEQUENCE, depth: found.depth, item: 0, key: undefined });
  }
  return best.offset;
}

function stepOf(above: Frame, start: number, path: YamlPath): { depth: number; offset: number } {
  const here = above.isList ? above.item : above.key?.name;
  const isOnTheWay = above.depth >= 0 && above.depth < path.length && path[above.depth] === here;
  return { depth: isOnTheWay ? above.depth + 1 : -1, offset: above.key?.offset ?? start };
}

function startOf(event: Event): number {
  if (event.type === EVENT_SCALAR) {
    const isQuoted = event.style === SCALAR_STYLE_SINGLE_QUOTED || event.style === SCALAR_STYLE_DOUBLE_QUOTED;
    return event.valueStart - (isQuoted ? 1 : 0);
  }
  if (event.type === EVENT_ALIAS) return event.anchorStart;
  return "start" in event ? event.start : 0;
}
