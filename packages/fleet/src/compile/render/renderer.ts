import type { Tree } from "@cortado/kinds/tree";
import type { BundleFile, ReadDocuments } from "../bundle.ts";

export type HelmRun = {
  readonly release: string;
  readonly namespace: string;
  /** Directory or archive of the chart among the files; "" is their root. */
  readonly chartDir: string;
  readonly values: Readonly<Tree>;
  readonly skipSchemaValidation: boolean;
  /** Ends the run. */
  readonly signal?: AbortSignal | undefined;
};

export type KustomizeRun = {
  /** Directory of the kustomization among the files; "" is their root. */
  readonly dir: string;
  /** Ends the run. */
  readonly signal?: AbortSignal | undefined;
};

/** The real tools, wherever they run. Both answer a stream of YAML documents, and reach no network and no cluster. */
export interface Renderer {
  /** @throws StatusError "Invalid" with what helm says, "Timeout", "RequestEntityTooLarge", "ServiceUnavailable" without helm */
  helmTemplate(files: readonly BundleFile[], run: HelmRun): Promise<string>;
  /** @throws StatusError as helmTemplate does */
  kustomize(files: readonly BundleFile[], run: KustomizeRun): Promise<string>;
  /** Reads manifests; absent: in this thread. */
  readonly readDocuments?: ReadDocuments | undefined;
}
