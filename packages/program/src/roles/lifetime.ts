import type { Log } from "@cortado/std/log";

/** Starts a part, says how long that took, and keeps it to be disposed in reverse order. */
export async function startPart<Part extends AsyncDisposable | Disposable>(
  stack: AsyncDisposableStack,
  options: { readonly name: string; readonly log: Log; readonly start: () => Promise<Part> | Part },
): Promise<Part> {
  const startMs = performance.now();
  const part = stack.use(await options.start());
  options.log.info("part started", { part: options.name, tookMs: Math.round(performance.now() - startMs) });
  return part;
}
