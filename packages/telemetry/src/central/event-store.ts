import { StatusError } from "@cortado/std/status";
import { isTree } from "@cortado/kinds/tree";
import { CENTRAL_EVENT_BYTES_MAX, CENTRAL_KIND_CHARACTERS_MAX, EVENT_ID_CHARACTERS_MAX } from "../limits.ts";

export type ClusterName = { readonly namespace: string; readonly name: string };

/** An event on its way to the disk; `payload` is JSON. */
export type TakenEvent = {
  readonly id: string;
  readonly kind: string;
  readonly sequence: number;
  readonly at: string;
  readonly payload: string;
};

/** An event as the hub holds it; positions grow in the order of arrival. */
export type CentralEvent = TakenEvent & { readonly position: number; readonly store: ClusterName };

export type Batch = {
  readonly cluster: ClusterName;
  readonly receivedMs: number;
  readonly events: readonly TakenEvent[];
};

/** What the one writer does, each in one transaction. */
export type Command =
  | { readonly kind: "write"; readonly batches: readonly Batch[] }
  | { readonly kind: "cursor"; readonly name: string; readonly position: number }
  /** Of one kind, the oldest that came before then. */
  | { readonly kind: "prune"; readonly eventKind: string; readonly beforeMs: number; readonly limit: number };

export type CommandResult = {
  /** Events that are new, or gone. */
  readonly changed: number;
  /** Of the disk, in use. */
  readonly bytes: number;
};

export interface EventWriter extends AsyncDisposable {
  /** Resolves when it would survive a power cut. One at a time. @throws StatusError */
  run(command: Command): Promise<CommandResult>;
}

/** What a store sent, read: those that can be kept, how many cannot, and where the last one stands. */
export type TakenBatch = {
  readonly events: readonly TakenEvent[];
  readonly refused: number;
  readonly through: number;
};

/**
 * Reads the events of one message. One that cannot be kept is counted and left out: a store must not be held up for ever by it.
 * @throws StatusError "BadRequest" for a message whose last event has no sequence, as it could not be acknowledged
 */
export function readBatch(events: readonly unknown[]): TakenBatch {
  const last = events.at(-1);
  const through = isTree(last) ? last["sequence"] : undefined;
  if (!isSequence(through))
    throw new StatusError(
      "BadRequest",
      "the last of the events has no sequence; send them as the journal has them",
    );
  const read = events.map(readEvent);
  const good = read.filter((event) => event !== undefined);
  return { events: good, refused: read.length - good.length, through };
}

function readEvent(event: unknown): TakenEvent | undefined {
  if (!isTree(event)) return undefined;
  const { id, kind, sequence, at, payload } = event;
  if (typeof id !== "string" || id === "" || id.length > EVENT_ID_CHARACTERS_MAX) return undefined;
  if (typeof kind !== "string" || kind === "" || kind.length > CENTRAL_KIND_CHARACTERS_MAX) return undefined;
  if (!isSequence(sequence) || typeof at !== "string" || Number.isNaN(Date.parse(at))) return undefined;
  if (!isTree(payload)) return undefined;
  const text = JSON.stringify(payload);
  return text.length > CENTRAL_EVENT_BYTES_MAX ? undefined : { id, kind, sequence, at, payload: text };
}

function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}
