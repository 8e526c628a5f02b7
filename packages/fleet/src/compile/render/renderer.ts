import type { Tree } from "@cortado/kinds/tree";
import type { BundleFile } from "../bundle.ts";

export type HelmRun = {
  readonly release: string;
  readonly namespace: string;
  /** Directory of the chart among the files; "" is their root. */
  readonly chartDir: string;
  readonly values: Readonly<Tree>;
  readonly skipSchemaValidation: boolean;
};

/** The real tools, wherever they run. Both answer a stream of YAML documents, and reach no network and no cluster. */
export interface Renderer {
  /** @throws StatusError "Invalid" with what helm says, "Timeout", "RequestEntityTooLarge", "ServiceUnavailable" without helm */
  helmTemplate(files: readonly BundleFile[], run: HelmRun): Promise<string>;
  /** @throws StatusError as helmTemplate does */
  kustomize(files: readonly BundleFile[], dir: string): Promise<string>;
}
