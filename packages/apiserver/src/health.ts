import type { ApiRequest, ApiResponse } from "./api.ts";
import type { HealthCheck } from "./ports.ts";
import { textResponse } from "./respond.ts";
import { unknownPath } from "./errors.ts";

const roots: Readonly<Record<string, HealthCheck["of"][number] | undefined>> = {
  healthz: undefined,
  livez: "live",
  readyz: "ready",
};

/** /healthz, /livez, /readyz, with ?verbose, ?exclude= and single checks by path. */
export async function serveHealth(
  request: ApiRequest,
  query: URLSearchParams,
  checks: readonly HealthCheck[],
): Promise<ApiResponse> {
  const [root = "", single] = request.path.split("/").filter((part) => part !== "");
  const of = roots[root];
  const mine = checks.filter((check) => of === undefined || check.of.includes(of));
  const chosen =
    single === undefined
      ? mine.filter((check) => !query.getAll("exclude").includes(check.name))
      : mine.filter((check) => check.name === single);
  if (single !== undefined && chosen.length === 0) throw unknownPath();
  const lines: string[] = [];
  let isFine = true;
  for (const check of chosen) {
    const problem = await check.check();
    if (problem !== undefined) isFine = false;
    lines.push(problem === undefined ? `[+]${check.name} ok` : `[-]${check.name} failed: ${problem}`);
  }
  if (isFine && !query.has("verbose")) return textResponse(200, "ok");
  lines.push(isFine ? `${root} check passed\n` : `${root} check failed\n`);
  return textResponse(isFine ? 200 : 500, lines.join("\n"));
}
