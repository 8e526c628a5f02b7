import { timingSafeEqual } from "node:crypto";
import type { Client } from "@cortado/client";
import { secrets } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { JoinUser } from "./desk.ts";
import { JOINERS_GROUP } from "./protocol.ts";

/**
 * Who a bootstrap token `ID.SECRET` is (kubernetes, plugin/pkg/auth/authenticator/token/bootstrap): the Secret bootstrap-token-ID of
 * kube-system says so while it has not expired. Undefined: nobody.
 */
export async function readBootstrapToken(
  token: string,
  {
    client,
    nowMs,
    signal,
  }: { readonly client: Client; readonly nowMs: number; readonly signal: AbortSignal },
): Promise<JoinUser | undefined> {
  const [, id, given] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(token) ?? [];
  if (id === undefined || given === undefined) return undefined;
  const where = { name: `bootstrap-token-${id}`, namespace: "kube-system" };
  const secret = await client.get(secrets, { ...where, signal }).catch((error: unknown) => {
    if (hasReason(error, "NotFound")) return undefined;
    throw error;
  });
  if (secret === undefined || secret.metadata.deletionTimestamp !== undefined) return undefined;
  const field = (name: string): string => Buffer.from(secret.data?.[name] ?? "", "base64").toString("utf8");
  const [shown, kept] = [Buffer.from(given), Buffer.from(field("token-secret"))];
  const isRight = shown.byteLength === kept.byteLength && timingSafeEqual(shown, kept);
  const expiration = field("expiration");
  // What is no time has ended: a typing error must not make a token eternal.
  const hasEnded = expiration !== "" && !(Date.parse(expiration) > nowMs);
  const isMeant = field("usage-bootstrap-authentication") === "true" && field("token-id") === id;
  const isOurs = secret.type === "bootstrap.kubernetes.io/token";
  if (!isRight || hasEnded || !isMeant || !isOurs) return undefined;
  return { name: `system:bootstrap:${id}`, groups: ["system:bootstrappers", JOINERS_GROUP] };
}
