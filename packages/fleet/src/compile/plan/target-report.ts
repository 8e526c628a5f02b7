import type { ClusterFacts, Compiled } from "../bundle.ts";
import { newTargeter } from "../targets/targets.ts";
import { problemLines, type Report } from "./report.ts";

/** Which cluster gets which bundle, by which target, and why not. Nothing is rendered. */
export function targetReport(
  { bundles, problems }: Compiled,
  clusters: readonly ClusterFacts[],
  { strict = false }: { readonly strict?: boolean },
): Report {
  const targeters = bundles.map(({ name, spec }) => ({ name, target: newTargeter(spec, { strict }) }));
  const lines: string[] = [];
  let failures = 0;
  for (const cluster of clusters) {
    lines.push(`${cluster.namespace}/${cluster.name}`);
    for (const { name, target } of targeters) {
      const result = target(cluster);
      if (result.deploys === true)
        lines.push(
          `  gets     ${name}  by target ${result.target === "" ? "without a name" : result.target}`,
        );
      else if (result.deploys === false) lines.push(`  nothing  ${name}  ${result.why}`);
      else {
        failures += 1;
        lines.push(`  failed   ${name}  ${result.message.trimEnd().replaceAll("\n", "\n    ")}`);
      }
    }
  }
  lines.push(...problemLines(problems));
  if (bundles.length === 0 && problems.length === 0) lines.push("problem  there is no bundle here");
  return {
    text: `${lines.join("\n")}\n`,
    isWell: failures === 0 && problems.length === 0 && bundles.length > 0,
  };
}
