import { hasReason, messageOf } from "@cortado/std/status";
import { REPOSITORY_BUNDLES_MAX, REPOSITORY_BYTES_MAX } from "../limits.ts";
import { compileBundle, type CompileState } from "./compile-bundle.ts";
import type { Compiled, CompiledBundle, CompileOptions, CompileProblem, SourceTree } from "./bundle.ts";
import { bundleName } from "./source/names.ts";
import { discover } from "./source/discover.ts";
import { newSource, type Source } from "./source/source.ts";

/**
 * A repository as Bundles. Never throws for what a repository says: what cannot be compiled is a problem that names file, place and
 * remedy, and the other bundles are there all the same. No more than REPOSITORY_BYTES_MAX of it is held.
 */
export async function compile(tree: SourceTree, options: CompileOptions): Promise<Compiled> {
  let source: Source;
  try {
    source = newSource(tree);
  } catch (error) {
    return { bundles: [], problems: [{ path: undefined, bundle: undefined, message: messageOf(error) }] };
  }
  const { roots, problems: found } = discover(source, {
    paths: options.paths ?? [],
    bundles: options.bundles ?? [],
  });
  const problems = [...found];
  if (roots.length > REPOSITORY_BUNDLES_MAX) {
    const message = `the repository has ${roots.length} bundles and ${REPOSITORY_BUNDLES_MAX} is the most; name fewer directories in spec.paths`;
    return { bundles: [], problems: [...problems, { path: undefined, bundle: undefined, message }] };
  }
  const state: CompileState = { source, options, bytesLeft: REPOSITORY_BYTES_MAX };
  const bundles: CompiledBundle[] = [];
  for (const root of roots) {
    const name = bundleName({
      repo: options.repo,
      path: root.path,
      ...(root.optionsFile === undefined ? {} : { options: root.optionsFile }),
    });
    const naming = { name };
    try {
      const bundle = await compileBundle(root, state, naming);
      if (bundle !== undefined) bundles.push(bundle);
    } catch (error) {
      const isTheirs = hasReason(
        error,
        "Invalid",
        "BadRequest",
        "NotFound",
        "Forbidden",
        "RequestEntityTooLarge",
      );
      const message = isTheirs
        ? error.message
        : `${root.path || "the root"} could not be read: ${messageOf(error)}`;
      problems.push({ path: root.path, bundle: naming.name, message });
    }
  }
  return withoutDoubles(bundles, problems);
}

/** Two directories that make a bundle of one name: neither may write over the other. */
function withoutDoubles(bundles: readonly CompiledBundle[], problems: readonly CompileProblem[]): Compiled {
  const byName = Map.groupBy(bundles, ({ name }) => name);
  const doubles = [...byName].filter(([, all]) => all.length > 1);
  const told = doubles.map(([name, all]) => ({
    path: undefined,
    bundle: name,
    message: `${all.map(({ path }) => path || "the root").join(" and ")} all make a bundle named ${name}; give each a name of its own in its fleet.yaml`,
  }));
  const isTaken = new Set(problems.map(({ bundle }) => bundle));
  return {
    bundles: bundles.filter(({ name }) => byName.get(name)?.length === 1 && !isTaken.has(name)),
    problems: [...problems, ...told],
  };
}
