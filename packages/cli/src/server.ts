import { Command } from "commander";
import { addSettings, givenSettings, type CommandSetting, type SettingsWords } from "./settings.ts";

export type ServerRoles = {
  readonly serverSettings: readonly CommandSetting[];
  /** Runs a store until it is told to stop. */
  readonly runServer: (words: SettingsWords) => Promise<void>;
};

/** `cortado server`: all of a store in one process. */
export function serverCommand(roles: ServerRoles): Command {
  const command = new Command("server").description(
    "Runs a store: API server, node, broker, functions and the rest, in one process.",
  );
  addSettings(command, roles.serverSettings);
  return command.action(() => roles.runServer(givenSettings(command, roles.serverSettings)));
}
