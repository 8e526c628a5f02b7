import type { Server } from "../server.ts";
import { mayNode, nodeOf, withoutNodeGroup } from "./node-authorizer.ts";
import type { AccessQuestion, Authorizer, Decision } from "./question.ts";
import type { RolePolicy } from "./rbac.ts";

type Deciders = {
  /** Asked before all others; what it allows is allowed. */
  readonly first: Authorizer | undefined;
  readonly policy: RolePolicy;
  readonly server: Server;
};

/** Who may do what: the program's own word, what a node may by being one, and roles. */
export async function decide(
  question: AccessQuestion,
  { first, policy, server }: Deciders,
): Promise<Decision> {
  const said = await first?.(question);
  if (said?.allowed === true) return said;
  const node = nodeOf(question.user);
  if (node !== undefined && (await mayNode({ node, question, server }))) return { allowed: true, reason: "" };
  const user = withoutNodeGroup(question.user);
  return policy.decide(user === question.user ? question : { ...question, user });
}
