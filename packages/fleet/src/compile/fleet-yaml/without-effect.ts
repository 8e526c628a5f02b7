import type { YamlPath } from "@cortado/wire/yaml/place";
import type { BundleOptions, RolloutStrategy } from "../bundle.ts";
import { pathText } from "./shape.ts";

/** What of a fleet.yaml, or of the spec of a Bundle, may hold such fields. */
export type Settings = Pick<BundleOptions, "helm" | "correctDrift"> & {
  readonly rolloutStrategy?: RolloutStrategy;
  readonly targets?: readonly Pick<BundleOptions, "helm" | "correctDrift">[];
  readonly targetCustomizations?: readonly Pick<BundleOptions, "helm" | "correctDrift">[];
};

export type WithoutEffect = { readonly path: YamlPath; readonly message: string };

export const keepFailHistoryWhy =
  "drift is corrected by applying once more, and no revision of Helm comes of it";

type Rule = {
  readonly path: readonly string[];
  readonly holds: (value: unknown, isStrict: boolean) => boolean;
  readonly why: string;
};

const isOn = (value: unknown): boolean => value === true;

/** Fields that are read as Fleet reads them and change nothing here, and what holds in their place. */
const optionRules: readonly Rule[] = [
  {
    path: ["helm", "atomic"],
    holds: isOn,
    why: 'a release that is not Ready in time halts its rollout, and "cortado fleet rollout abort" takes it back in every store',
  },
  {
    path: ["helm", "maxHistory"],
    holds: (value) => value !== undefined,
    why: "nothing is installed by Helm; the hub keeps the generations that a store may go back to",
  },
  {
    path: ["helm", "disableDNS"],
    holds: (value) => value === false,
    why: "charts are rendered without a network, and no name is looked up",
  },
  {
    path: ["helm", "timeoutSeconds"],
    holds: (value, isStrict) => isStrict && typeof value === "number" && value > 0,
    why: "a rollout under --fleet-strict has no deadline",
  },
  { path: ["correctDrift", "keepFailHistory"], holds: isOn, why: keepFailHistoryWhy },
];

const strategyFields = [
  "maxUnavailable",
  "maxUnavailablePartitions",
  "autoPartitionSize",
  "autoPartitionThreshold",
  "maxNew",
] as const satisfies readonly (keyof RolloutStrategy)[];

const strategyWhy =
  "a rollout begins with one store and goes on in waves, or by its partitions; --fleet-strict heeds it";

/** Names every field that somebody set and that changes nothing, so that nobody relies on it. Pure. */
export function withoutEffect(settings: Settings, isStrict: boolean): readonly WithoutEffect[] {
  const found: WithoutEffect[] = [];
  const say = (path: YamlPath, why: string): void =>
    void found.push({ path, message: `${pathText(path)} changes nothing here: ${why}` });
  const look = (options: Pick<BundleOptions, "helm" | "correctDrift">, at: YamlPath): void => {
    for (const { path, holds, why } of optionRules)
      if (holds(valueAt(options, path), isStrict)) say([...at, ...path], why);
  };
  look(settings, []);
  for (const list of ["targets", "targetCustomizations"] as const)
    for (const [index, target] of (settings[list] ?? []).entries()) look(target, [list, index]);
  if (!isStrict)
    for (const field of strategyFields)
      if (settings.rolloutStrategy?.[field] !== undefined) say(["rolloutStrategy", field], strategyWhy);
  return found;
}

function valueAt(options: object, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Readonly<Record<string, unknown>> | undefined)?.[step],
    options,
  );
}
