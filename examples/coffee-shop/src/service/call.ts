import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

/** What another service answered. */
export type Reply = { readonly status: number; readonly body: unknown };

/** Calls another service with JSON. Rejects when it does not answer in time. */
export function callService(
  url: string,
  options: {
    readonly method: "GET" | "POST";
    readonly body?: unknown;
    readonly timeoutMs: number;
    readonly headers?: Record<string, string>;
  },
): Promise<Reply> {
  const content = options.body === undefined ? undefined : JSON.stringify(options.body);
  return new Promise((resolve, reject) => {
    const headers = {
      ...(content === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    };
    const outgoing = request(url, { method: options.method, agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("error", reject);
      response.on("end", () => {
        clearTimeout(limit);
        resolve({ status: response.statusCode ?? 0, body: parse(text) });
      });
    });
    const limit = setTimeout(
      () => outgoing.destroy(new Error(`${url} did not answer in ${options.timeoutMs} ms`)),
      options.timeoutMs,
    );
    outgoing.on("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    outgoing.end(content);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
