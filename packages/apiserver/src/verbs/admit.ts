import type { Admission, Server } from "../server.ts";

export async function admitMutating(server: Server, admission: Admission): Promise<void> {
  for (const step of server.admission) await step.mutate?.(admission);
}

export async function admitValidating(server: Server, admission: Admission): Promise<void> {
  for (const step of server.admission) await step.validate?.(admission);
}

/** Tells each step how it ended, so that what was reserved is kept or given back. */
export function settle(server: Server, admission: Admission, isWritten: boolean): void {
  for (const step of server.admission) step.settle?.(admission, isWritten);
}
