import { drawWaves, type Drawing } from "./draw.ts";
import { inOrder, namesOf } from "./order.ts";
import type { RolloutInput, RolloutPlan, RolloutRecord, RolloutStore, Wave } from "./model.ts";

/** One canary, then growing waves; each opens when every heard store of those before it is Ready. */
export function planInWaves(input: RolloutInput): RolloutPlan {
  const stores = inOrder(input.stores);
  const drawing = drawWaves({ ...input, stores });
  const kept = begin(input.record);
  // Another canary gets its own time.
  const isOther = kept.drawn !== undefined && kept.drawn.canary !== drawing.drawn.canary;
  const openedAtMs = isOther ? input.nowMs : kept.openedAtMs;
  const begun: RolloutRecord = { ...kept, openedAtMs, drawn: drawing.drawn };
  const verdict = judge({ ...input, stores, record: begun }, drawing);
  const record = { ...begun, ...verdict.change };
  const release: { key: string; generation: number }[] = [];
  for (const [at, store] of stores.entries()) {
    const generation = allowed(record, store, drawing.waveOf[at] ?? 0);
    if (generation !== store.released) release.push({ key: store.key, generation });
  }
  return {
    record,
    release,
    waves: countWaves(record, stores, drawing),
    message: verdict.message,
    lookAgainAtMs: verdict.lookAgainAtMs,
  };
}

/** Waves of another generation are none of this one. */
function begin(record: RolloutRecord): RolloutRecord {
  if (record.drawn?.generation === record.generation) return record;
  const isDone = record.base === record.generation && record.generation > 0;
  return isDone ? record : { ...record, open: 0, openedAtMs: 0, phase: "Progressing", reason: "" };
}

type Verdict = {
  readonly change: Partial<RolloutRecord>;
  readonly message: string;
  readonly lookAgainAtMs: number | undefined;
};

function judge(input: RolloutInput, drawing: Drawing): Verdict {
  const { record, control, nowMs } = input;
  const { generation, base, open } = record;
  const stay = (phase: RolloutRecord["phase"], reason: string, message: string): Verdict => ({
    change: { phase, reason },
    message,
    lookAgainAtMs: undefined,
  });
  if (record.phase === "Aborted" || control.abort === generation)
    return stay("Aborted", `generation ${generation} was given up`, abortedText(record));
  if (base === generation) return stay("Complete", "", "every store may run it");
  if (control.isPaused) return stay("Paused", "paused", `paused with ${openText(open, drawing)}`);
  const held = input.gates.closed.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  if (held !== "") return stay("Progressing", held, `held back by ${held}`);
  // Time that passed while it was paused is nobody's delay.
  const since = record.phase === "Paused" ? nowMs : record.openedAtMs;
  if (control.promote === generation && open < drawing.waves.length) {
    const change = {
      open: drawing.waves.length,
      openedAtMs: nowMs,
      phase: "Progressing",
      reason: "",
    } as const;
    const lookAgainAtMs = nextLookMs(input, { drawing, open: change.open });
    return { change, message: "promoted: all waves are open", lookAgainAtMs };
  }
  return progress(input, { drawing, since });
}

type Progress = { readonly drawing: Drawing; readonly since: number };

function progress(input: RolloutInput, { drawing, since }: Progress): Verdict {
  const { record, nowMs } = input;
  const last = drawing.waves.length;
  const front = frontOf(input, { drawing, since });
  const wait = (change: Partial<RolloutRecord>, message: string, at?: number): Verdict => ({
    change: { openedAtMs: since, ...change },
    message,
    lookAgainAtMs: at,
  });
  if (last === 0) return wait({ phase: "Progressing", reason: "" }, "no store is to run it");
  if (record.open > 0 && !front.isTried)
    return wait({ phase: "Progressing", reason: "" }, "no store is heard and free that could try it first");
  if (front.blocking.length === 0 && record.open === last)
    return wait(
      { phase: "Complete", reason: "", base: record.generation },
      front.dark > 0
        ? `complete; ${front.dark} stores that are dark or held back get it when they are not`
        : "every store runs it",
    );
  if (front.blocking.length === 0) {
    const open = record.open + 1;
    const change = { open, openedAtMs: nowMs, phase: "Progressing", reason: "" } as const;
    const lookAgainAtMs = nextLookMs(input, { drawing, open });
    return { change, message: openText(open, drawing), lookAgainAtMs };
  }
  if (front.late.length > 0) {
    const reason = `not ready in time: ${namesOf(front.late)}`;
    const todo = "mend it with a new commit, abort, or promote";
    return wait(
      { phase: "Halted", reason },
      `halted with ${openText(record.open, drawing)}: ${reason}; ${todo}`,
    );
  }
  const message = `${openText(record.open, drawing)}; waiting for ${namesOf(front.blocking)}`;
  return wait({ phase: "Progressing", reason: "" }, message, front.nextLateMs);
}

/** When to look at waves that were opened now: of dark stores alone at once, as none of them will say a word. */
function nextLookMs(
  { record, stores, nowMs, deadlineMs }: RolloutInput,
  { drawing, open }: { readonly drawing: Drawing; readonly open: number },
): number {
  const awaited = stores.filter(
    (store, at) => (drawing.waveOf[at] ?? 0) < open && store.isHeard && store.ready !== record.generation,
  );
  const soonest = awaited.reduce((ms, store) => Math.min(ms, store.deadlineMs ?? deadlineMs), Infinity);
  return awaited.length > 0 ? nowMs + soonest : nowMs;
}

type Front = {
  readonly blocking: readonly RolloutStore[];
  readonly late: readonly RolloutStore[];
  readonly nextLateMs: number | undefined;
  readonly dark: number;
  /** Some store of the open waves has tried it: when all are dark, nothing is known of it. */
  readonly isTried: boolean;
};

/** How the stores of the open waves do. */
function frontOf(input: RolloutInput, { drawing, since }: Progress): Front {
  const { record, nowMs, deadlineMs } = input;
  const [blocking, late]: [RolloutStore[], RolloutStore[]] = [[], []];
  const unready: RolloutStore[][] = drawing.waves.map(() => []);
  let [dark, total, tried] = [0, 0, 0];
  for (const [at, store] of input.stores.entries()) {
    const wave = drawing.waveOf[at] ?? 0;
    if (wave >= record.open) continue;
    total += 1;
    if (store.ready === record.generation || store.isHeard) tried += 1;
    if (store.ready === record.generation) continue;
    if (store.isHeard) unready[wave]?.push(store);
    else dark += 1;
  }
  let nextLateMs: number | undefined;
  for (const [wave, stores] of unready.entries()) {
    if (stores.length <= (drawing.waves[wave]?.tolerated ?? 0)) continue;
    for (const store of stores) {
      blocking.push(store);
      const lateAtMs = Math.max(since, store.heardSinceMs ?? 0) + (store.deadlineMs ?? deadlineMs);
      if (lateAtMs <= nowMs) late.push(store);
      else nextLateMs = Math.min(nextLateMs ?? lateAtMs, lateAtMs);
    }
  }
  return { blocking, late, nextLateMs, dark, isTried: tried > 0 || total === 0 };
}

/** The newest generation that a store may run. A store never goes back but when its generation was given up. */
function allowed(record: RolloutRecord, store: RolloutStore, wave: number): number {
  const { generation, base, phase, open } = record;
  if (phase === "Aborted") return base > 0 ? base : store.released;
  if (base === generation || wave < open) return generation;
  // One that was the canary and went dark before it could tell is none any more.
  const wasCanary = store.released >= generation && !store.isHeard && base > 0;
  return wasCanary ? base : Math.max(base, store.released);
}

function countWaves(
  record: RolloutRecord,
  stores: readonly RolloutStore[],
  { waves, waveOf }: Drawing,
): readonly Wave[] {
  const counts = waves.map(({ name }) => ({ name, stores: 0, ready: 0, dark: 0, waiting: 0 }));
  for (const [at, store] of stores.entries()) {
    const count = counts[waveOf[at] ?? 0];
    if (count === undefined) continue;
    count.stores += 1;
    if (store.ready === record.generation) count.ready += 1;
    else if (!store.isHeard) count.dark += 1;
    else count.waiting += 1;
  }
  return counts;
}

function openText(open: number, { waves }: Drawing): string {
  if (open === 0) return "no wave open";
  return `wave ${open} of ${waves.length} open (${waves[open - 1]?.name ?? ""})`;
}

function abortedText({ generation, base }: RolloutRecord): string {
  const back = base > 0 ? `stores go back to ${base}` : "there is none to go back to, what runs stays";
  return `generation ${generation} was given up; ${back}`;
}
