import { runCli } from "@cortado/cli";
import { roles } from "./roles.ts";

/** Runs what the process was called with; its exit code is that of the process. */
export async function runCommandLine(): Promise<void> {
  process.exitCode = await runCli(process.argv.slice(2), roles);
}
