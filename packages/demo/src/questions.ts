import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { request as requestHttps, type RequestOptions } from "node:https";

/** Longest wait for one answer. */
const ANSWER_MS_MAX = 2_000;

/** Does a plain URL answer 200? */
export function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = request(url, { timeout: ANSWER_MS_MAX, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    outgoing.on("timeout", () => outgoing.destroy());
    outgoing.on("error", () => resolve(false));
    outgoing.end();
  });
}

/** Asks `/readyz`, which anyone may; the demo only wants to know that it answers, so it does not verify who. */
export async function answersReady(url: string): Promise<boolean> {
  return (await ask(url, { rejectUnauthorized: false })) !== undefined;
}

type Kubeconfig = {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly "certificate-authority-data": string };
  }[];
  readonly users: readonly {
    readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string };
  }[];
};
type Pods = {
  readonly items: readonly {
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }[];
};

/** Where containers are simulated the shop cannot be asked: are there pods, and are all of them Ready in the API? */
export async function allPodsReady(kubeconfig: string): Promise<boolean> {
  const text = await readFile(kubeconfig, "utf8").catch(() => undefined);
  if (text === undefined) return false;
  const { clusters, users } = JSON.parse(text) as Kubeconfig;
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) return false;
  const decode = (data: string): string => Buffer.from(data, "base64").toString("utf8");
  const answer = await ask(`${cluster.server}/api/v1/pods`, {
    ca: decode(cluster["certificate-authority-data"]),
    cert: decode(user["client-certificate-data"]),
    key: decode(user["client-key-data"]),
  });
  if (answer === undefined) return false;
  const { items } = JSON.parse(answer) as Pods;
  const isReady = ({ status }: Pods["items"][number]): boolean =>
    status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
  return items.length > 0 && items.every(isReady);
}

/** The body of a 200; undefined for anything else. */
function ask(url: string, options: RequestOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const outgoing = requestHttps(url, { timeout: ANSWER_MS_MAX, agent: false, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => resolve(response.statusCode === 200 ? text : undefined));
      response.on("error", () => resolve(undefined));
    });
    outgoing.on("timeout", () => outgoing.destroy());
    outgoing.on("error", () => resolve(undefined));
    outgoing.end();
  });
}
