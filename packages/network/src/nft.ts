import { spawn } from "node:child_process";
import { StatusError } from "@cortado/std/status";
import type { Clock } from "@cortado/std/clock";
import { NFT_RUN_MS } from "./limits.ts";

/** Programs of the system that change the kernel's network; they come in by this port. */
export interface NetworkTools {
  /** Applies an nft script as one transaction. @throws StatusError with nft's words */
  nft(script: string): Promise<void>;
  /** Runs `ip` with these words and answers what it says. @throws StatusError with its words */
  ip(words: readonly string[]): Promise<string>;
  /** The same with `bridge`, which is of the same package. */
  bridge(words: readonly string[]): Promise<string>;
}

/** `nft` and `ip` of the machine, in this process's own network namespace. */
export function systemTools(ports: { readonly clock: Clock }): NetworkTools {
  return {
    nft: async (script) => void (await run({ command: "nft", args: ["-f", "-"], input: script, ...ports })),
    ip: (words) => run({ command: "ip", args: words, input: "", ...ports }),
    bridge: (words) => run({ command: "bridge", args: words, input: "", ...ports }),
  };
}

type Run = {
  readonly command: string;
  readonly args: readonly string[];
  readonly input: string;
  readonly clock: Clock;
};

const ERROR_BYTES_MAX = 2_000;

function run({ command, args, input, clock }: Run): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: ["pipe", "pipe", "pipe"] });
    const alarm = clock.after(NFT_RUN_MS, () => child.kill("SIGKILL"));
    let errors = "";
    const said: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => void said.push(bytes));
    child.stderr.on(
      "data",
      (bytes: Buffer) => (errors = (errors + bytes.toString("utf8")).slice(0, ERROR_BYTES_MAX)),
    );
    child.stdin.on("error", () => undefined);
    child.on("error", (cause) => {
      alarm[Symbol.dispose]();
      reject(
        new StatusError("ServiceUnavailable", `${command} does not run: ${cause.message}; install it`, {
          cause,
        }),
      );
    });
    child.on("close", (code) => {
      alarm[Symbol.dispose]();
      if (code === 0) resolve(Buffer.concat(said).toString("utf8"));
      else
        reject(
          new StatusError(
            "InternalError",
            `${command} ${args.join(" ")}: ${errors.trim() || `ended with ${code}`}`,
          ),
        );
    });
    child.stdin.end(input);
  });
}
