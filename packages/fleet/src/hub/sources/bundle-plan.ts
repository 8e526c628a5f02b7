import type { Bundle } from "@cortado/kinds/fleet";
import type { Compiled, CompiledBundle } from "../../compile/bundle.ts";
import type { Applied, ClusterKey } from "../ports.ts";

export const REPO_LABEL = "fleet.cattle.io/repo-name";
export const COMMIT_LABEL = "fleet.cattle.io/commit";
/** Directory that a Bundle came from: what a problem of that directory leaves alone. */
export const PATH_ANNOTATION = "fleet.cortado.dev/path";

/** On a Bundle of which another one of the same directory took the place: its name. */
export const REPLACED_BY_ANNOTATION = "fleet.cortado.dev/replaced-by";
/** On that other one: whose objects it takes over. */
export const REPLACES_ANNOTATION = "fleet.cortado.dev/replaces";

/** What compiling warned of, as a list of texts in JSON: told in the Bundle's status. */
export const WARNINGS_ANNOTATION = "fleet.cortado.dev/warnings";
/** Longer ones are cut: an object's annotations have 256 KiB together. */
const WARNINGS_CHARS_MAX = 8_000;

/** The annotation of warnings; none: no annotation. */
export function warningsAnnotation(warnings: readonly string[]): Readonly<Record<string, string>> {
  if (warnings.length === 0) return {};
  let left = WARNINGS_CHARS_MAX;
  const told = warnings.map((text) => {
    const part = text.slice(0, Math.max(left, 0));
    left -= part.length;
    return part;
  });
  return { [WARNINGS_ANNOTATION]: JSON.stringify(told.filter((text) => text !== "")) };
}

/** What is there, as far as the plan looks. */
export type KnownBundle = Pick<Bundle, "metadata">;

export type BundlePlan = {
  readonly put: readonly CompiledBundle[];
  readonly remove: readonly string[];
  /** Another name for the same directory: it goes where the other has come, store by store. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  readonly kept: Applied["kept"];
  /** Compiled, but the name is another's. */
  readonly refused: readonly { readonly name: string; readonly why: string }[];
};

/**
 * What to do with the Bundles of a repository's namespace after a compile. Pure. A Bundle goes only when the whole repository
 * compiled without a problem and no longer has it, and never the last one (ARCHITECTURE decision 11): whoever wants a repository's
 * last bundle gone deletes the GitRepo. `known` are all Bundles of the namespace.
 */
export function planBundles(
  gitRepo: ClusterKey,
  compiled: Compiled,
  known: readonly KnownBundle[],
): BundlePlan {
  const byName = new Map(known.map((bundle) => [bundle.metadata.name, bundle]));
  const isOurs = (bundle: KnownBundle): boolean => bundle.metadata.labels?.[REPO_LABEL] === gitRepo.name;
  const taken = compiled.bundles.filter(({ name }) => {
    const there = byName.get(name);
    return there !== undefined && !isOurs(there);
  });
  const refused = taken.map(({ name }) => ({
    name,
    why: `Bundle ${name} is there already and is not of GitRepo ${gitRepo.name}; rename one of them (name: in fleet.yaml)`,
  }));
  const put = compiled.bundles.filter((bundle) => !taken.includes(bundle));
  const wanted = new Set(put.map(({ name }) => name));
  const absent = known.filter((bundle) => isOurs(bundle) && !wanted.has(bundle.metadata.name));
  const why = whyKept(gitRepo, compiled, put.length);
  const gone = why === undefined ? absent.map(({ metadata }) => metadata.name) : [];
  const renamed = why === undefined ? absent.flatMap((bundle) => renamedTo(bundle, put)) : [];
  const isRenamed = new Set(renamed.map(({ from }) => from));
  return {
    put,
    refused,
    renamed,
    remove: gone.filter((name) => !isRenamed.has(name)),
    kept:
      why === undefined
        ? []
        : absent.map((bundle) => ({ name: bundle.metadata.name, why: ownWhy(bundle, compiled) ?? why })),
  };
}

function renamedTo(
  { metadata }: KnownBundle,
  put: readonly CompiledBundle[],
): readonly { readonly from: string; readonly to: string }[] {
  const path = metadata.annotations?.[PATH_ANNOTATION];
  const to = put.find((one) => one.path === path);
  return to === undefined || path === undefined ? [] : [{ from: metadata.name, to: to.name }];
}

function whyKept(gitRepo: ClusterKey, compiled: Compiled, left: number): string | undefined {
  const [problem] = compiled.problems;
  if (problem !== undefined) return `kept, as the repository did not compile wholly: ${problem.message}`;
  if (left === 0)
    return `kept, as the repository has no bundle any more: delete GitRepo ${gitRepo.namespace}/${gitRepo.name} if that is meant`;
  return undefined;
}

/** The problem of the Bundle's own directory, where there is one. */
function ownWhy(bundle: KnownBundle, { problems }: Compiled): string | undefined {
  const path = bundle.metadata.annotations?.[PATH_ANNOTATION];
  const own = problems.find(
    (problem) => problem.bundle === bundle.metadata.name || (path !== undefined && problem.path === path),
  );
  return own === undefined ? undefined : `kept as it was: ${own.message}`;
}
