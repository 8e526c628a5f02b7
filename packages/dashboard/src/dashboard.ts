import type { HttpAnswer, HttpRequest } from "@cortado/std/http";
import { StatusError } from "@cortado/std/status";

/** What the pages consist of, as the build made them. */
export type DashboardFiles = { readonly html: string; readonly script: string; readonly style: string };

/**
 * Answers `/dashboard` and what it loads. The pages hold no data: they ask the public API, with the rights of who looks.
 * @throws StatusError "NotFound" for another path, "MethodNotAllowed" for what is no reading
 */
export function answerDashboard(files: DashboardFiles, { method, path }: HttpRequest): HttpAnswer {
  if (method !== "GET" && method !== "HEAD")
    throw new StatusError("MethodNotAllowed", "the dashboard is only read; changes go through the API");
  const found = {
    "/dashboard": { type: "text/html", text: files.html },
    "/dashboard/app.js": { type: "text/javascript", text: files.script },
    "/dashboard/app.css": { type: "text/css", text: files.style },
  }[path];
  if (found === undefined)
    throw new StatusError("NotFound", `there is nothing at ${path}; the dashboard is at /dashboard`);
  return {
    status: 200,
    headers: {
      "content-type": `${found.type}; charset=utf-8`,
      // What an object says is shown as text; were it ever taken for code, the browser would still refuse to run it.
      "content-security-policy":
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    },
    body: method === "HEAD" ? "" : found.text,
  };
}
