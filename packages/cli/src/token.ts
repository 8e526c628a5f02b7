import { Command } from "commander";

export type TokenRoles = {
  readonly readToken: (dataDir: string) => Promise<string>;
  readonly out: (text: string) => void;
};

/** `cortado token`: the secret that further machines join with. */
export function tokenCommand(roles: TokenRoles): Command {
  const command = new Command("token")
    .description(
      "Prints the token of this store's server, in K3s's secure form (K10, the authority's hash, the secret).",
    )
    .option("--data-dir <folder>", "The server's data folder", "/var/lib/cortado");
  return command.action(async () =>
    roles.out(`${await roles.readToken(command.opts<{ dataDir: string }>().dataDir)}\n`),
  );
}
