import { createServer } from "node:http";
import { log } from "../service/http.ts";

type Charge = { readonly amountCents: number; readonly approved: boolean; readonly reason?: string };

/** Most charges remembered; the oldest go first. */
const CHARGES_MAX = 100_000;
const charges = new Map<string, Charge>();
const [host = "127.0.0.1", port = "9090"] = process.argv.slice(2);

/**
 * A payment provider that moves no money. "tok_declined" is declined, "tok_timeout" is charged but the answer is lost,
 * "tok_late_declined" is declined when it comes without a till waiting; every other token is approved.
 */
const server = createServer((request, response) => {
  const reference = decodeURIComponent((request.url ?? "").split("/")[2] ?? "");
  if (request.method === "GET") {
    const known = charges.get(reference);
    response.statusCode = known === undefined ? 404 : 200;
    response.end(JSON.stringify(known ?? { error: "no such charge" }));
    return;
  }
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (part: string) => (text += part));
  request.on("end", () => {
    const {
      reference: id,
      amountCents,
      token,
    } = JSON.parse(text) as { reference: string; amountCents: number; token: string };
    const charge = charges.get(id) ?? decide(amountCents, token);
    charges.set(id, charge);
    if (charges.size > CHARGES_MAX) charges.delete(charges.keys().next().value as string);
    if (token !== "tok_timeout") response.end(JSON.stringify(charge));
  });
});

function decide(amountCents: number, token: string): Charge {
  if (token === "tok_declined" || token === "tok_late_declined")
    return { amountCents, approved: false, reason: "card_declined" };
  return { amountCents, approved: true };
}

server.listen(Number(port), host, () => log("acquirer", "started", { host, port: Number(port) }));
process.on("SIGTERM", () => process.exit(0));
