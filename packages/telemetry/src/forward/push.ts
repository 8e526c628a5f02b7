import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { messageOf, StatusError } from "@cortado/std/status";
import { FORWARD_ANSWER_BYTES, FORWARD_MS_MAX } from "../limits.ts";
import type { ForwardTarget } from "./target.ts";

export type Push = {
  /** Behind the target's own path. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

export type Pushed =
  | { readonly isTaken: true; readonly text: string }
  /** What was sent is not wanted, now or later. */
  | { readonly isTaken: false; readonly text: string };

/** Codes that say that the content is at fault; all others may be another tomorrow. */
const refusals: ReadonlySet<number> = new Set([400, 413, 422]);

/** Sends once. @throws StatusError "ServiceUnavailable" for what is to be tried again, with when if it was told */
export async function push(
  target: ForwardTarget,
  { path, headers, body }: Push,
  signal: AbortSignal,
): Promise<Pushed> {
  const { url } = target;
  const begin = url.protocol === "https:" ? requestHttps : requestHttp;
  const asking = begin(new URL(`${url.pathname.replace(/\/+$/, "")}${path}${url.search}`, url), {
    method: "POST",
    headers: { ...headers, ...target.headers, "content-length": body.byteLength },
    timeout: FORWARD_MS_MAX,
    signal,
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asking.once("response", resolve);
    asking.once("timeout", () => asking.destroy(new Error(`no answer within ${FORWARD_MS_MAX / 1_000} s`)));
    asking.on("error", reject);
  });
  asking.end(body);
  let code = 0;
  let text = "";
  let after: string | undefined;
  try {
    const answer = await answered;
    code = answer.statusCode ?? 0;
    after = answer.headers["retry-after"];
    for await (const piece of answer as AsyncIterable<Buffer>)
      if (text.length < FORWARD_ANSWER_BYTES) text += piece.toString("utf8");
  } catch (cause) {
    throw new StatusError(
      "ServiceUnavailable",
      `target ${target.name} does not answer: ${messageOf(cause)}`,
      { cause },
    );
  }
  const short = text.slice(0, 200).trim();
  if (code >= 200 && code < 300) return { isTaken: true, text };
  if (refusals.has(code)) return { isTaken: false, text: `${code} ${short}` };
  const seconds =
    after !== undefined && /^\d{1,6}$/.test(after) ? { retryAfterSeconds: Number(after) } : undefined;
  throw new StatusError("ServiceUnavailable", `target ${target.name} answers ${code}: ${short}`, {
    ...(seconds === undefined ? {} : { details: seconds }),
  });
}
