import { Command } from "commander";

export type KubectlRoles = {
  /** Runs the kubectl on PATH with this kubeconfig, and resolves when it ended well. @throws StatusError "NotFound" without one */
  readonly runKubectl: (options: {
    readonly kubeconfig: string | undefined;
    readonly words: readonly string[];
  }) => Promise<void>;
};

/** `cortado kubectl`: the kubectl on PATH, pointed at this store. */
export function kubectlCommand(roles: KubectlRoles): Command {
  const command = new Command("kubectl")
    .description("Runs the kubectl on PATH with this store's kubeconfig; all words after it are kubectl's.")
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .option("--kubeconfig <file>", "Another kubeconfig")
    .argument("[words...]", "what kubectl is told");
  return command.action((words: string[]) =>
    roles.runKubectl({ kubeconfig: command.opts<{ kubeconfig?: string }>().kubeconfig, words }),
  );
}
