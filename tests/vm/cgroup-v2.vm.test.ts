import assert from "node:assert/strict";
import { test } from "node:test";
import { checkNames, heavyCheckNames } from "./guest/check-names.ts";
import { machineMissing, prepareKernel, runGuest, RUN_MS_MAX, type Kernel } from "./machine.ts";

const skip = machineMissing() ?? false;
/** For the disk, and for the end of a guest that was killed. */
const PREPARE_MS_MAX = 90_000;

test(
  "a whole store on cgroup version 2, in a virtual machine",
  { skip, timeout: RUN_MS_MAX + PREPARE_MS_MAX },
  async (context) => {
    let kernel: Kernel;
    try {
      kernel = prepareKernel();
    } catch (error) {
      context.skip(
        `needs Debian's cloud kernel: ${(error as Error).message.split("\n").slice(0, 3).join(" ")}`,
      );
      return;
    }
    const follow = process.env["CORTADO_VM_CONSOLE"] === "1";
    const withHeavy = process.env["CORTADO_VM_HEAVY"] === "1";
    const guest = await runGuest(kernel, {
      withHeavy,
      onLine: (line) => void (follow && console.log(`| ${line}`)),
    });
    context.diagnostic(`kernel ${kernel.release}, ${Math.round(guest.ms / 1_000)} s`);
    const heavyNames: readonly string[] = heavyCheckNames;
    const isSkipped = (name: string): string | false =>
      !withHeavy && heavyNames.includes(name) && "takes minutes more; set CORTADO_VM_HEAVY=1";
    const lines = guest.console.split("\n");
    for (const name of [...checkNames, ...heavyCheckNames])
      await context.test(name, { skip: isSkipped(name) }, () => {
        const line = lines.find((one) => one === `ok ${name}` || one.startsWith(`not ok ${name}: `));
        assert.equal(
          line,
          `ok ${name}`,
          line ??
            `${guest.isOver ? `not reached in ${RUN_MS_MAX / 1_000} s` : "never said"}; the console's end:\n${guest.console.slice(-6_000)}`,
        );
      });
  },
);
