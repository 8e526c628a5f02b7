import type { Client } from "@cortado/client";
import type { Bundle, BundleRollout, FleetCondition } from "@cortado/kinds/fleet";
import { events } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import type { Core } from "../core.ts";
import { withCondition } from "../status/summary.ts";
import { EVENT_CHARS_MAX } from "../limits.ts";
import { ROLLOUT_ANNOTATION } from "./control.ts";

const endings: ReadonlySet<string> = new Set(["Complete"]);
const troubles: ReadonlySet<string> = new Set(["Halted", "Aborted"]);

/** How a rollout stands, as one sentence with what to do; the same in `kubectl describe`, in Events and for the GitRepo. */
export function storyOf({ metadata }: Bundle, rollout: BundleRollout): string {
  const { generation, base, phase, message = "" } = rollout;
  const { namespace = "", name = "" } = metadata;
  const told = `generation ${generation}: ${message}`;
  if (phase !== "Halted") return told;
  const annotate = `kubectl annotate bundles.fleet.cattle.io ${name} -n ${namespace} --overwrite ${ROLLOUT_ANNOTATION}=`;
  const back = base > 0 ? `goes back to generation ${base}` : "stops here, there is none to go back to";
  return `${told}. To abort (it ${back}): ${annotate}abort=${generation}. To go on all the same: ${annotate}promote=${generation}`;
}

/** Condition RolledOut: True when every store may run the newest. */
export function withRollout(
  conditions: readonly FleetCondition[] | undefined,
  of: { readonly bundle: Bundle; readonly rollout: BundleRollout; readonly nowMs: number },
): FleetCondition[] {
  const { bundle, rollout, nowMs } = of;
  const { phase } = rollout;
  const told = {
    type: "RolledOut",
    isTrue: endings.has(phase),
    reason: phase,
    message: storyOf(bundle, rollout),
  };
  return withCondition(conditions, told, nowMs);
}

/** What makes another Event: another generation, wave or phase. */
export function chapterOf(rollout: Pick<BundleRollout, "generation" | "open" | "phase"> | undefined): string {
  return rollout === undefined ? "" : `${rollout.generation}/${rollout.phase}/${rollout.open}`;
}

/** A turn of a bundle's story, told once; one that cannot be written down holds nothing up. */
export async function tellTurn(
  { ports, signal }: Core,
  row: { readonly key: string; chapter: string },
  { bundle, rollout }: { readonly bundle: Bundle; readonly rollout: BundleRollout },
): Promise<void> {
  const chapter = chapterOf(rollout);
  if (chapter === row.chapter) return;
  row.chapter = chapter;
  const { client, clock, log } = ports;
  await tellChapter({ client, nowMs: clock.nowMs(), signal }, bundle, rollout).catch((error: unknown) => {
    if (!signal.aborted) log.warn("an Event of a rollout is not written", { bundle: row.key, error });
  });
}

/** Tells a turn of the story as an Event of the Bundle. */
async function tellChapter(
  {
    client,
    nowMs,
    signal,
  }: { readonly client: Client; readonly nowMs: number; readonly signal: AbortSignal },
  bundle: Bundle,
  rollout: BundleRollout,
): Promise<void> {
  const { namespace = "", name = "", uid = "", resourceVersion = "" } = bundle.metadata;
  const at = toTime(nowMs);
  const chapter = `${rollout.generation}-${rollout.phase.toLowerCase()}-${rollout.open}`;
  await client.create(
    events,
    {
      metadata: { namespace, name: `${name.slice(0, 200)}.rollout-${chapter}-${nowMs.toString(36)}` },
      involvedObject: {
        apiVersion: "fleet.cattle.io/v1alpha1",
        kind: "Bundle",
        namespace,
        name,
        uid,
        resourceVersion,
      },
      type: troubles.has(rollout.phase) ? "Warning" : "Normal",
      reason: `Rollout${rollout.phase}`,
      message: storyOf(bundle, rollout).slice(0, EVENT_CHARS_MAX),
      source: { component: "cortado-hub" },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    },
    { signal, fieldManager: "cortado-hub" },
  );
}
