import type { Metrics } from "@cortado/std/metrics";
import type { ApiRequest, ApiResponse } from "./api.ts";
import type { ServiceAccountTokens } from "./authn/service-account-tokens.ts";
import { serveDiscovery } from "./discovery/discovery.ts";
import { methodNotAllowed, unknownPath } from "./errors.ts";
import { serveHealth } from "./health.ts";
import type { KindInfo } from "@cortado/kinds/kind-info";
import type { KindTable } from "./kind-table.ts";
import type { OpenApiDocuments } from "./openapi/documents.ts";
import type { HealthCheck, View } from "./ports.ts";
import { jsonResponse, textResponse } from "./respond.ts";

/** What /version says: the Kubernetes whose API this is (bare numbers, as the conformance suite wants). */
export const version = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.0+cortado1",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: "linux/amd64",
} as const;

export type PathTools = {
  readonly request: ApiRequest;
  readonly query: URLSearchParams;
  readonly kinds: KindTable;
  readonly checks: readonly HealthCheck[];
  readonly tokens: ServiceAccountTokens | undefined;
  readonly documents: OpenApiDocuments;
  readonly given: { readonly metrics: Metrics; readonly views?: readonly View[] };
};

/** Serves a path that is no resource, and that was allowed. */
export async function servePath(tools: PathTools): Promise<ApiResponse> {
  const { request, query, kinds, checks, tokens, documents, given } = tools;
  const [root = "", second = ""] = request.path.split("/").filter((part) => part !== "");
  if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
  switch (root) {
    case "":
      return jsonResponse(request, {
        paths: [
          "/api",
          "/apis",
          "/healthz",
          "/livez",
          "/metrics",
          "/openapi/v2",
          "/openapi/v3",
          "/openid/v1/jwks",
          "/readyz",
          "/version",
        ],
      });
    case "version":
      return jsonResponse(request, version);
    case "healthz":
    case "livez":
    case "readyz":
      return serveHealth(request, query, checks);
    case "api":
    case "apis":
      return serveDiscovery(request, withViewVerbs(kinds.all(), given.views ?? []));
    case "openapi":
      return documents.serve(request);
    case "metrics":
      return textResponse(200, given.metrics.text(), {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
      });
    case ".well-known":
      if (second === "openid-configuration" && tokens !== undefined)
        return jsonResponse(request, tokens.discovery());
      throw unknownPath();
    case "openid":
      if (tokens !== undefined)
        return jsonResponse(request, await tokens.keySet(), { "content-type": "application/jwk-set+json" });
      throw unknownPath();
    default:
      throw unknownPath();
  }
}

/** What is computed is neither made nor deleted: whoever cleans up behind owners has nothing to do with it. */
function withViewVerbs(kinds: readonly KindInfo[], views: readonly View[]): readonly KindInfo[] {
  const isView = ({ group, plural }: KindInfo): boolean =>
    views.some((view) => view.group === group && view.plural === plural);
  const mayNot: ReadonlySet<string> = new Set(["create", "delete", "deletecollection"]);
  return kinds.map((kind) =>
    isView(kind) ? { ...kind, verbs: kind.verbs.filter((verb) => !mayNot.has(verb)) } : kind,
  );
}
