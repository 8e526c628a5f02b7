import assert from "node:assert/strict";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import type { StartFunctionsOptions } from "../functions.ts";
import type { Answer, Call } from "../runtime/interpreter.ts";
import type { StartReplica } from "../runtime/replicas.ts";
import { World } from "./world.ts";

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const answerOf = (text: string, status = 200): Answer => ({ status, headers: {}, body: bytes(text) });

export type Fake = {
  readonly start: StartReplica;
  readonly calls: Call[];
  answer: (call: Call) => Promise<Answer>;
};

/** Runs no handler: the runtime is not what these tests are about. */
function fakeRuntime(): Fake {
  const fake: Fake = {
    calls: [],
    answer: (call) => Promise.resolve(answerOf(`got ${new TextDecoder().decode(call.body)}`)),
    start: () => {
      const gone = Promise.withResolvers<void>();
      return Promise.resolve({
        hasEnded: false,
        ended: undefined,
        gone: gone.promise,
        kill: () => gone.resolve(),
        call(call) {
          fake.calls.push(call);
          return fake.answer(call);
        },
      });
    },
  };
  return fake;
}

type Started = { readonly world: World; readonly clock: HeldClock; readonly fake: Fake };

export async function inWorld(
  work: (started: Started) => Promise<void>,
  options: Partial<StartFunctionsOptions> = {},
): Promise<void> {
  const clock = new HeldClock(Date.UTC(2026, 10, 23, 8, 0, 0));
  const fake = fakeRuntime();
  const world = new World(clock, { startReplica: fake.start, ...options });
  await world.boot();
  try {
    await work({ world, clock, fake });
  } finally {
    await world.stop();
    await settle();
  }
}

/** Lets a deployment go through: the held clock stands, the loop turns and real files are read. */
export async function deployed(clock: HeldClock): Promise<void> {
  for (let at = 0; at < 10; at += 1) await turned();
  await clock.advance(50);
  for (let at = 0; at < 10; at += 1) await turned();
}

/** One turn in which the disk may answer, however busy the machine is. */
async function turned(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  await settle();
}

export async function until(what: string, look: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !look(); turn += 1) await turned();
  assert.ok(look(), what);
}
