import type { Client, Stored } from "@cortado/client";
import { bundles, type Bundle } from "@cortado/kinds/fleet";
import { StatusError } from "@cortado/std/status";
import { ROLLOUT_ANNOTATION } from "../hub/rollouts/control.ts";

export const rolloutActions = ["status", "pause", "resume", "promote", "abort"] as const;
export type RolloutAction = (typeof rolloutActions)[number];

export type SteerRollout = {
  readonly client: Client;
  readonly action: RolloutAction;
  readonly bundle: string;
  readonly namespace: string;
  readonly signal: AbortSignal;
};

/** Shows or steers the rollout of a Bundle. @throws StatusError "NotFound", or "Invalid" when there is nothing to steer */
export async function steerRollout(asked: SteerRollout): Promise<string> {
  const { client, action, bundle: name, namespace, signal } = asked;
  const found = await client.get(bundles, { namespace, name, signal });
  if (action === "status") return statusText(found);
  const control = controlFor(found, asked);
  const body = { metadata: { annotations: { [ROLLOUT_ANNOTATION]: control ?? null } } };
  await client.patch(bundles, { namespace, name, type: "merge", body, signal });
  const about = `bundle ${namespace}/${name}`;
  if (action === "pause") return `${about}: paused; cortado fleet rollout resume ${name} goes on\n`;
  if (action === "resume") return `${about}: goes on\n`;
  const generation = found.status?.rollout?.generation ?? 0;
  return action === "promote"
    ? `${about}: generation ${generation} may go to all stores\n`
    : `${about}: generation ${generation} is given up; its stores go back to ${backTo(found)}\n`;
}

function controlFor(
  bundle: Stored<Bundle>,
  { action, namespace, bundle: name }: SteerRollout,
): string | undefined {
  const { rollout } = bundle.status ?? {};
  if (action === "pause") return "pause";
  if (action === "resume") {
    if (bundle.spec?.paused === true)
      throw new StatusError(
        "Invalid",
        `Bundle ${namespace}/${name} is paused by its spec (of the repository or the GitRepo); set paused: false there`,
      );
    return undefined;
  }
  if (rollout === undefined)
    throw new StatusError(
      "Invalid",
      `Bundle ${namespace}/${name} has no rollout yet; look again in a moment`,
    );
  if (rollout.phase === "Complete")
    throw new StatusError(
      "Invalid",
      `generation ${rollout.generation} of Bundle ${namespace}/${name} is complete: every store may run it; to go back, revert the commit`,
    );
  return `${action}=${rollout.generation}`;
}

function backTo({ status }: Stored<Bundle>): string {
  const base = status?.rollout?.base ?? 0;
  return base > 0 ? `generation ${base}` : "nothing, as there is none before it: what runs stays";
}

function statusText({ metadata, spec, status }: Stored<Bundle>): string {
  const { rollout } = status ?? {};
  const lines = [
    `Bundle ${metadata.namespace ?? ""}/${metadata.name}: ${status?.display?.readyClusters ?? "0/0"} stores ready`,
  ];
  if (rollout === undefined) lines.push("no rollout yet");
  else {
    const { generation, base, phase, message = "", waves = [] } = rollout;
    lines.push(`generation ${generation} (before it ${base}): ${phase}`, message);
    const rows = waves.map((one, at) => [
      at < rollout.open || phase === "Complete" ? "open" : "waits",
      one.name,
      `${one.ready}/${one.stores} ready`,
      `${one.dark} dark or held`,
      `${one.waiting} waiting`,
    ]);
    const widths = [0, 1, 2, 3].map((column) =>
      Math.max(0, ...rows.map((row) => (row[column] ?? "").length)),
    );
    for (const row of rows)
      lines.push(`  ${row.map((text, at) => text.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
  }
  const control = metadata.annotations?.[ROLLOUT_ANNOTATION];
  if (control !== undefined) lines.push(`asked for: ${control}`);
  if (spec?.paused === true) lines.push("paused by its spec");
  const ready = status?.conditions?.find((one) => one.type === "Ready");
  if (ready?.status === "False" && (ready.message ?? "") !== "") lines.push(`not ready: ${ready.message}`);
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
}
