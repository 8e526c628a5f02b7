import type { BundleFile, BundleOptions } from "../bundle.ts";
import { globMatches } from "../source/glob.ts";

/** Manifests of a bundle that are applied as they are, before any overlay (fleet.md 2.7); `include` names them one by one. */
export function rawFiles(files: readonly BundleFile[], { include }: BundleOptions): readonly BundleFile[] {
  if (include !== undefined)
    return include.flatMap((pattern) =>
      files.filter(({ name }) => name === pattern || globMatches(pattern, name)),
    );
  const charts = files.flatMap(({ name }) =>
    name.endsWith("/Chart.yaml") ? [name.slice(0, -"Chart.yaml".length)] : [],
  );
  return files.filter(
    ({ name }) =>
      /\.(ya?ml|json)$/.test(name) &&
      !name.startsWith("overlays/") &&
      !name.startsWith("templates/") &&
      !charts.some((chart) => name.startsWith(chart)),
  );
}
