/** Time comes in by this door only, so that a test or the simulator can hold it. */
export interface Clock {
  /** Wall time in milliseconds since 1970: for stamps; may jump. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start: for durations; never goes back. */
  monotonicMs(): number;
  /** Waits. Rejects with the signal's reason when aborted. */
  sleep(ms: number, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Calls once after `ms`, unless disposed before. Does not keep a process alive. */
  after(ms: number, callback: () => void): Disposable;
}

/** Milliseconds to Kubernetes' `metav1.Time`: RFC 3339 in UTC, whole seconds. */
export function toTime(ms: number): string {
  return new Date(Math.floor(ms / 1_000) * 1_000).toISOString().replace(".000Z", "Z");
}

/** Milliseconds to Kubernetes' `metav1.MicroTime`: RFC 3339 in UTC with six digits. */
export function toMicroTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Calls `tick` every `ms` until disposed; a tick that throws is the caller's fault and goes to the process. */
export function every(clock: Clock, ms: number, tick: () => void): Disposable {
  let pending: Disposable | undefined;
  const arm = (): void => {
    pending = clock.after(ms, () => {
      arm();
      tick();
    });
  };
  arm();
  return { [Symbol.dispose]: () => pending?.[Symbol.dispose]() };
}
