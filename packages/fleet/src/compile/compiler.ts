import type { Compiler } from "../hub/ports.ts";
import { RENDERS_MAX } from "../limits.ts";
import { toContent } from "./content.ts";
import { render, type Renderer } from "./render/render.ts";
import { newTargeter } from "./targets/targets.ts";

export type CompilerOptions = {
  readonly renderer: Renderer;
  /** As Fleet, quirks and all. */
  readonly strict?: boolean;
};

/** What a hub asks of this folder. Renders wait for one another: RENDERS_MAX at a time. */
export function newCompiler({ renderer, strict = false }: CompilerOptions): Compiler {
  const limit = newLimit(RENDERS_MAX);
  return {
    newTargeter: ({ spec }) => newTargeter(spec, { strict }),
    render: ({ name, files, options, commit, copies, signal }) =>
      limit(async () => {
        signal.throwIfAborted();
        const objects = await render(files, options, { renderer, bundle: { name, commit }, copies, signal });
        const { deploymentId, options: deployed, chunks } = toContent(objects, options);
        const encoder = new TextEncoder();
        return {
          deploymentId,
          options: deployed,
          chunks: chunks.map(({ sha256, json }) => ({ sha256, content: encoder.encode(json) })),
        };
      }),
  };
}

type Limit = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** Who waits is bounded by who calls: a hub renders each variant once. */
function newLimit(most: number): Limit {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => void waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next one, or is free.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
