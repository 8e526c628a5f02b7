/** A broken promise of our own code: never thrown for a user's input. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * States what our own code guarantees; stays on in production, so that a fault stops here and not three rooms on.
 * @throws AssertionError when the claim is false
 */
export function assert(claim: boolean, message: string): asserts claim {
  if (!claim) throw new AssertionError(message);
}
