import { Command } from "commander";

/** `cortado version`. */
export function versionCommand(roles: {
  readonly version: string;
  readonly out: (text: string) => void;
}): Command {
  return new Command("version")
    .description("Prints the version.")
    .action(() => roles.out(`${roles.version}\n`));
}
