import { systemClock } from "@cortado/std/node/clock";
import { seededRandom } from "@cortado/std/random";
import { runtimeConformance } from "../../testing/conformance.ts";
import { newSimulatedRuntime } from "./simulated-runtime.ts";

// The clock is real, as the suite also runs against a real runtime; the stages take no time.
runtimeConformance("simulated", async () => {
  const runtime = newSimulatedRuntime({
    clock: systemClock,
    random: seededRandom(7),
    podNetwork: "10.42.0",
    stageMs: { least: 0, most: 0 },
  });
  await runtime.pull({ image: "cortado.local/busybox:1" }, { signal: new AbortController().signal });
  return {
    runtime,
    image: "cortado.local/busybox:1",
    logFolder: "/nowhere",
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
});
