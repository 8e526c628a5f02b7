import { Command } from "commander";
import { StatusError } from "@cortado/std/status";

/** `cortado agent`: K3s's worker. It is not built, and says what is there instead. */
export function agentCommand(): Command {
  const command = new Command("agent")
    .description("A further node of a store's cluster, as K3s has it: comes in a later release.")
    .allowUnknownOption()
    .argument("[words...]", "of K3s, whatever they are");
  return command.action(() => {
    throw new StatusError(
      "NotImplemented",
      "a further node that joins a store's server comes in a later release; cortado server runs server and node in one, and cortado fleet agent joins another Kubernetes to a hub",
    );
  });
}
