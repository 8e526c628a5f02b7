import type { Api, Timing } from "../data/api.ts";
import { SILENT_MS_MAX } from "../limits.ts";

/** The browser's clock and timers. */
export const timing: Timing = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    }),
};

/** The hub that served the page. The address must be made from the origin: a page's own may hold a password, which fetch refuses. */
function urlOf(path: string, query: Readonly<Record<string, string>>): string {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.href;
}

export const api: Api = {
  async get(path, query = {}) {
    const response = await ask(urlOf(path, query), {});
    return (await response.json()) as unknown;
  },
  async *lines(path, query, signal) {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const response = await ask(urlOf(path, query), { signal: either });
    let timer = 0;
    const patience = (): void => {
      clearTimeout(timer);
      timer = window.setTimeout(() => stop.abort(new Error("the hub says nothing any more")), SILENT_MS_MAX);
    };
    const decoder = new TextDecoder();
    let rest = "";
    const reader = response.body?.getReader();
    try {
      for (;;) {
        patience();
        const read = await reader?.read();
        if (read === undefined || read.done) break;
        const parts = (rest + decoder.decode(read.value, { stream: true })).split("\n");
        rest = parts.pop() ?? "";
        for (const part of parts) if (part !== "") yield JSON.parse(part) as unknown;
      }
      if (rest !== "") yield JSON.parse(rest) as unknown;
    } finally {
      clearTimeout(timer);
      stop.abort(new Error("read to its end"));
    }
  },
};

async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, headers: { accept: "application/json" } });
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try {
    message = (JSON.parse(text) as { readonly message?: string }).message ?? text;
  } catch {
    // Not a Status: the text is all there is.
  }
  throw new Error(`the hub answered ${response.status}: ${message.slice(0, 300)}`);
}
