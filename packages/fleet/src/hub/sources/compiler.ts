import { toContent } from "../../compile/content.ts";
import { render, type Renderer } from "../../compile/render/render.ts";
import { newTargeter } from "../../compile/targets/targets.ts";
import type { Compiler, RenderInput } from "../ports.ts";

export type CompilerOptions = {
  readonly renderer: Renderer;
  /** Fleet's templates to the letter. */
  readonly isStrict?: boolean;
};

/** The compiler's room as the hub asks for it. */
export function newCompiler({ renderer, isStrict = false }: CompilerOptions): Compiler {
  return {
    newTargeter: ({ spec }) => newTargeter(spec, { strict: isStrict }),
    async render({ name, files, options, signal }: RenderInput) {
      signal.throwIfAborted();
      const content = toContent(await render(files, options, { renderer, bundle: { name } }), options);
      return {
        deploymentId: content.deploymentId,
        options: content.options,
        chunks: content.chunks.map(({ sha256, json }) => ({
          sha256,
          content: new TextEncoder().encode(json),
        })),
      };
    },
  };
}
