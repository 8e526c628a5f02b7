import { runCli } from "@cortado/cli";
import { roles } from "./roles.ts";

/** The one entry of the program: its command line. */
void runCli(process.argv.slice(2), roles).then((code) => (process.exitCode = code));
