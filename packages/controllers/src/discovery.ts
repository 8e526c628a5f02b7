import type { Client } from "@cortado/client";
import type { ResourceType } from "@cortado/kinds/resources";

type ApiResource = {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
};
type ApiResources = { readonly groupVersion: string; readonly resources: readonly ApiResource[] };

/** Every kind that the server lists and deletes, custom ones too, in its preferred version. */
export async function listedResources(client: Client, signal: AbortSignal): Promise<readonly ResourceType[]> {
  const get = async (path: string): Promise<unknown> =>
    client.raw({ method: "GET", path, query: {}, signal });
  const groups = (await get("/apis")) as {
    groups: readonly { preferredVersion: { groupVersion: string } }[];
  };
  const paths = [
    "/api/v1",
    ...groups.groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const all = await Promise.all(paths.map(async (path) => toTypes((await get(path)) as ApiResources)));
  return all.flat();
}

function toTypes({ groupVersion, resources }: ApiResources): readonly ResourceType[] {
  const [group = "", version = ""] = groupVersion.includes("/")
    ? groupVersion.split("/")
    : ["", groupVersion];
  return resources
    .filter(({ name, verbs }) => !name.includes("/") && verbs.includes("list") && verbs.includes("delete"))
    .map(({ name, kind, namespaced }) => ({ group, version, plural: name, kind, namespaced }));
}
