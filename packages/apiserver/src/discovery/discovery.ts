import { createHash } from "node:crypto";
import { groupOrder } from "@cortado/kinds/built-in";
import { apiVersionText, type KindInfo } from "@cortado/kinds/kind-info";
import type { Tree } from "@cortado/kinds/tree";
import type { ApiRequest, ApiResponse } from "../api.ts";
import { unknownPath } from "../errors.ts";
import { readAccept } from "../render/accept.ts";
import { jsonResponse } from "../respond.ts";

/** Serves /api, /apis, /apis/GROUP and /apis/GROUP/VERSION from the kinds of the moment. */
export function serveDiscovery(request: ApiRequest, kinds: readonly KindInfo[]): ApiResponse {
  const parts = request.path.split("/").filter((part) => part !== "");
  const [root, group, version] = parts;
  const wantsAll = readAccept(request.headers?.["accept"]).find(
    (one) =>
      one.as === "APIGroupDiscoveryList" && one.group === "apidiscovery.k8s.io" && one.version === "v2",
  );
  if (root === "api" && group === undefined)
    return wantsAll === undefined
      ? jsonResponse(request, oldCore())
      : aggregated(
          request,
          groupsOf(kinds).filter((one) => one.name === ""),
          wantsAll.params,
        );
  if (root === "apis" && group === undefined)
    return wantsAll === undefined
      ? jsonResponse(request, groupList(kinds))
      : aggregated(
          request,
          groupsOf(kinds).filter((one) => one.name !== ""),
          wantsAll.params,
        );
  if (root === "api" && parts.length === 2)
    return resourceList(request, kinds, { group: "", version: group ?? "" });
  if (root === "apis" && parts.length === 2) return jsonResponse(request, namedGroup(kinds, group ?? ""));
  if (root === "apis" && parts.length === 3)
    return resourceList(request, kinds, { group: group ?? "", version: version ?? "" });
  throw unknownPath();
}

type Group = {
  readonly name: string;
  readonly versions: readonly { readonly name: string; readonly kinds: readonly KindInfo[] }[];
};

/** The kinds by group and version, in upstream's order. */
export function groupsOf(kinds: readonly KindInfo[]): readonly Group[] {
  const names = [...new Set(kinds.map((kind) => kind.group))];
  const rank = (name: string): number =>
    groupOrder.includes(name) ? groupOrder.indexOf(name) : groupOrder.length;
  return names
    .toSorted((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1))
    .map((name) => {
      const own = kinds.filter((kind) => kind.group === name);
      const versions = [...new Set(own.map((kind) => kind.version))].toSorted(compareVersions);
      return {
        name,
        versions: versions.map((version) => ({
          name: version,
          kinds: own.filter((kind) => kind.version === version),
        })),
      };
    });
}

/** v2 before v1 before v1beta2 before v1alpha1 (apimachinery, pkg/version.CompareKubeAwareVersionStrings, newest first). */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [versionRank(one), versionRank(other)];
  for (let index = 0; index < a.length; index += 1)
    if (a[index] !== b[index]) return (b[index] ?? 0) - (a[index] ?? 0);
  return one < other ? -1 : 1;
}

function versionRank(version: string): readonly number[] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (match === null) return [0, 0, 0];
  const stage = match[2] === undefined ? 3 : match[2] === "beta" ? 2 : 1;
  return [stage, Number(match[1]), Number(match[3] ?? 0)];
}

function oldCore(): Tree {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
}

function groupTree(group: Group): Tree {
  const versions = group.versions.map(({ name }) => ({
    groupVersion: `${group.name}/${name}`,
    version: name,
  }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

function groupList(kinds: readonly KindInfo[]): Tree {
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: groupsOf(kinds)
      .filter((one) => one.name !== "")
      .map(groupTree),
  };
}

function namedGroup(kinds: readonly KindInfo[], name: string): Tree {
  const found = groupsOf(kinds).find((one) => one.name === name);
  if (found === undefined) throw unknownPath();
  return { kind: "APIGroup", apiVersion: "v1", ...groupTree(found) };
}

function resourceList(
  request: ApiRequest,
  kinds: readonly KindInfo[],
  { group, version }: { readonly group: string; readonly version: string },
): ApiResponse {
  const own = kinds.filter((kind) => kind.group === group && kind.version === version);
  if (own.length === 0) throw unknownPath();
  const groupVersion = apiVersionText({ group, version });
  return jsonResponse(request, {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion,
    resources: own.flatMap(resourceTrees),
  });
}

function resourceTrees(kind: KindInfo): readonly Tree[] {
  const main: Tree = {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.namespaced,
    kind: kind.kind,
    verbs: [...kind.verbs].toSorted(),
    ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
    ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
    ...(kind.verbs.includes("get") ? { storageVersionHash: storageHash(kind) } : {}),
  };
  const others = kind.subresources.map((one): Tree => ({
    name: `${kind.plural}/${one.name}`,
    singularName: "",
    namespaced: kind.namespaced,
    ...(one.kind === undefined ? {} : { group: one.group, version: one.version }),
    kind: one.kind ?? kind.kind,
    verbs: one.verbs,
  }));
  return [main, ...others];
}

function storageHash({ group, version, kind }: KindInfo): string {
  return createHash("sha256")
    .update(`${group}/${version}/${kind}`)
    .digest()
    .subarray(0, 8)
    .toString("base64");
}

function aggregated(
  request: ApiRequest,
  groups: readonly Group[],
  params: Readonly<Record<string, string>>,
): ApiResponse {
  const items = groups.map((group) => ({
    metadata: { creationTimestamp: null, ...(group.name === "" ? {} : { name: group.name }) },
    versions: group.versions.map(({ name, kinds }) => ({
      version: name,
      resources: kinds.map(discoveryTree),
      freshness: "Current",
    })),
  }));
  const list = { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
  const profile = params["profile"] === undefined ? "" : `;profile=${params["profile"]}`;
  const etag = `"${createHash("sha256").update(JSON.stringify(list)).digest("hex").toUpperCase()}"`;
  const headers = {
    "content-type": `application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList${profile}`,
    etag,
    vary: "Accept",
    "cache-control": "public",
  };
  if (request.headers?.["if-none-match"] === etag) return { status: 304, headers, body: { kind: "none" } };
  return jsonResponse(request, list, headers);
}

function discoveryTree(kind: KindInfo): Tree {
  return {
    resource: kind.plural,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.namespaced ? "Namespaced" : "Cluster",
    singularResource: kind.singular,
    verbs: [...kind.verbs].toSorted(),
    ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
    ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
    ...(kind.subresources.length === 0
      ? {}
      : { subresources: kind.subresources.map((one) => subresourceTree(kind, one)) }),
  };
}

function subresourceTree(kind: KindInfo, one: KindInfo["subresources"][number]): Tree {
  return {
    subresource: one.name,
    responseKind: {
      group: one.group ?? kind.group,
      version: one.version ?? kind.version,
      kind: one.kind ?? kind.kind,
    },
    verbs: one.verbs,
  };
}
