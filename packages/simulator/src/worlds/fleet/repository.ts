import { createHash } from "node:crypto";
import type { Git, GitCommit } from "@cortado/fleet/git";
import type { SourceTree } from "@cortado/fleet/compile/bundle";
import type { Clock } from "@cortado/std/clock";
import { StatusError } from "@cortado/std/status";

export const repositoryUrl = "https://git.example/chain.git";

/** What a commit does. `broken`: a file that is no YAML; `bad`: pods that never become ready. */
export type Release = {
  readonly version: number;
  readonly kind: "good" | "bad" | "broken";
  readonly hasExtra: boolean;
};

/** A repository in memory: one branch, each commit a whole tree. */
export class MemoryGit {
  readonly #clock: Clock;
  readonly #commits = new Map<string, Release>();
  #head = "";
  #isUp = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  push(release: Release): void {
    this.#head = createHash("sha1").update(JSON.stringify(release)).digest("hex");
    this.#commits.set(this.#head, release);
  }

  set isUp(isUp: boolean) {
    this.#isUp = isUp;
  }

  get git(): Git {
    return {
      look: async (_remote, _wish, { signal }) => {
        await this.#reach(signal);
        return { commit: this.#head, ref: "refs/heads/main" };
      },
      bring: async (_remote, { commit }: GitCommit, { signal }) => {
        await this.#reach(signal);
        const release = this.#commits.get(commit);
        if (release === undefined) throw new StatusError("NotFound", `no commit ${commit}`);
        return { ...treeOf(release), [Symbol.asyncDispose]: () => Promise.resolve() };
      },
    };
  }

  async #reach(signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(20, { signal });
    if (!this.#isUp) throw new StatusError("ServiceUnavailable", "the Git server does not answer");
  }
}

function treeOf({ version, kind, hasExtra }: Release): SourceTree {
  const files = new Map<string, string>([
    ["menu/fleet.yaml", "name: menu\nnamespace: shop\n"],
    ["menu/menu.yaml", configMap("menu", version)],
    ["menu/order.yaml", deployment(kind === "bad" ? `shop:bad-${version}` : `shop:good-${version}`)],
    ["till/fleet.yaml", "name: till\nnamespace: shop\n"],
    ["till/till.yaml", kind === "broken" ? "this: [is no: yaml\n" : configMap("till", version)],
  ]);
  if (hasExtra) {
    files.set("extra/fleet.yaml", "name: extra\nnamespace: shop\n");
    files.set("extra/extra.yaml", configMap("extra", 1));
  }
  const encoder = new TextEncoder();
  const paths = [...files.keys()].toSorted();
  return {
    files: paths.map((path) => ({ path, bytes: encoder.encode(files.get(path)).length, kind: "file" })),
    read(path) {
      const text = files.get(path);
      if (text === undefined) return Promise.reject(new StatusError("NotFound", `${path} is not there`));
      return Promise.resolve(encoder.encode(text));
    },
  };
}

function configMap(name: string, version: number): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { version: "${version}" }\n`;
}

function deployment(image: string): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: order }
spec:
  replicas: 1
  selector: { matchLabels: { app: order } }
  template:
    metadata: { labels: { app: order } }
    spec: { containers: [{ name: order, image: "${image}" }] }
`;
}
