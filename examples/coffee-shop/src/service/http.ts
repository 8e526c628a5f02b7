import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** A request as the services' handlers see it. */
export type Call = {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The parsed JSON body; undefined when there was none. */
  readonly body: unknown;
};

export type Answer = { readonly status: number; readonly body: unknown; readonly type?: string };

export type Route = {
  readonly method: "GET" | "POST";
  /** Segments that begin with ":" are parameters. */
  readonly path: string;
  readonly handle: (call: Call) => Promise<Answer> | Answer;
};

/** Refuses a request; the message goes to the client. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Largest request body in bytes: an order of a hundred lines is far below. */
const BODY_BYTES_MAX = 256 * 1024;

/** Serves the routes on all addresses of the pod, and says so in one line. */
export function serve(
  service: string,
  options: { readonly port: number; readonly routes: readonly Route[] },
): void {
  const server = createServer((request, response) => {
    answer(request, options.routes).then(
      (reply) => send(response, reply),
      (error: unknown) => {
        if (!(error instanceof Refusal))
          log(service, "request failed", { path: request.url, error: String(error) });
        const status = error instanceof Refusal ? error.status : 500;
        const message = error instanceof Refusal ? error.message : "the service failed; try again";
        send(response, { status, body: { error: message } });
      },
    );
  });
  server.keepAliveTimeout = 30_000;
  server.listen(options.port, () => log(service, "started", { port: options.port }));
  process.on("SIGTERM", () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

async function answer(request: IncomingMessage, routes: readonly Route[]): Promise<Answer> {
  const url = new URL(request.url ?? "/", "http://service");
  const found = routes.filter((route) => match(route.path, url.pathname) !== undefined);
  if (found.length === 0) throw new Refusal(404, `there is nothing at ${url.pathname}`);
  const route = found.find(
    ({ method }) => method === request.method || (method === "GET" && request.method === "HEAD"),
  );
  if (route === undefined) throw new Refusal(405, `${url.pathname} does not take ${request.method}`);
  const params = match(route.path, url.pathname) ?? {};
  return route.handle({ params, query: url.searchParams, body: await readJson(request) });
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    const value = given[at] ?? "";
    if (part.startsWith(":")) params[part.slice(1)] = decodeURIComponent(value);
    else if (part !== value) return undefined;
  }
  return params;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) throw new Refusal(413, `the body is over ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
  } catch (error) {
    throw new Refusal(400, `the body is not JSON: ${(error as Error).message}`);
  }
}

function send(response: ServerResponse, { status, body, type }: Answer): void {
  const content = type === undefined ? JSON.stringify(body) : String(body);
  response.writeHead(status, { "content-type": type ?? "application/json", "cache-control": "no-store" });
  response.end(content);
}

/** One JSON line on standard output. */
export function log(service: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), service, message, ...fields })}\n`);
}
