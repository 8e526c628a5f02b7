import { Command } from "commander";

export type DemoAction = "unplug" | "plug" | "kill" | "cut-power" | "boot";

export type DemoRoles = {
  /** Brings the demo up in the foreground, until Ctrl-C. */
  readonly runDemo: (options: {
    readonly folder: string;
    readonly fresh: boolean;
    readonly simulated: boolean;
  }) => Promise<void>;
  readonly askDemo: (folder: string, action: DemoAction, store: string) => Promise<void>;
  /** `.cortado` of the folder that we were started in. */
  readonly demoFolder: string;
};

const words: readonly { readonly action: DemoAction; readonly help: string }[] = [
  { action: "unplug", help: "Cuts a store's uplink" },
  { action: "plug", help: "Restores a store's uplink" },
  { action: "kill", help: "Ends the process of a store or the hub with kill -9; containers run on" },
  { action: "cut-power", help: "Ends all of a store at once, as a pulled plug does" },
  { action: "boot", help: "Starts whatever of a store or the hub is missing, and waits until it answers" },
];

/** `cortado demo`: a hub and stores on this machine, and what may happen to them. */
export function demoCommand(roles: DemoRoles): Command {
  const demo = new Command("demo").description(
    "Runs a hub and stores on this machine, and breaks them on purpose.",
  );
  const start = new Command("start")
    .description("Brings the demo up in the foreground; Ctrl-C ends it and keeps the data")
    .option("--folder <path>", "Where state and data are kept", roles.demoFolder)
    .option("--fresh", "Forgets the data of earlier runs", false)
    .option("--simulated", "Uses the simulated runtime even where containers could run", false);
  start.action(() => roles.runDemo(start.opts()));
  demo.addCommand(start);
  for (const { action, help } of words) {
    const command = new Command(action)
      .description(help)
      .argument("<store>", "such as store-042, or hub")
      .option("--folder <path>", "The demo's folder", roles.demoFolder);
    command.action((store: string) =>
      roles.askDemo(command.opts<{ folder: string }>().folder, action, store),
    );
    demo.addCommand(command);
  }
  return demo;
}
