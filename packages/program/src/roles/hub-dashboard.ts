import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FrontRoute } from "@cortado/apiserver/front/routes";
import { answerDashboard, type DashboardFiles } from "@cortado/dashboard";
import { textAnswer } from "@cortado/std/http";

/** The dashboard, for whoever has a name; what it shows is what the API gives him. */
export async function dashboardRoutes(): Promise<readonly FrontRoute[]> {
  const files = await readFiles(join(dirname(process.argv[1] ?? "."), "dashboard"));
  return ["/dashboard", "/dashboard/"].map((path) => ({
    path,
    handle(request, { user }) {
      if (!user.groups.includes("system:authenticated"))
        return Promise.resolve({
          status: 401,
          headers: { "www-authenticate": 'Basic realm="cortado hub"' },
          body: "say who you are: user admin, and the password in the hub's data folder, server/hub-password\n",
        });
      if (files === undefined)
        return Promise.resolve(
          textAnswer(503, "the dashboard is not built: npm run bundle, and run the bundle\n"),
        );
      return Promise.resolve(answerDashboard(files, request));
    },
  }));
}

/** They lie beside the bundle; undefined when it runs from its sources. */
async function readFiles(folder: string): Promise<DashboardFiles | undefined> {
  const read = (name: string): Promise<string> => readFile(join(folder, name), "utf8");
  try {
    return { html: await read("index.html"), script: await read("app.js"), style: await read("app.css") };
  } catch {
    return undefined;
  }
}
