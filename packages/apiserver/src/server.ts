import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import type { Store } from "@cortado/store";
import type { KindInfo } from "@cortado/kinds/kind-info";
import type { Tree } from "@cortado/kinds/tree";
import type { ApiRequest, User } from "./api.ts";
import type { KindTable } from "./kind-table.ts";
import type { RequestInfo } from "./request-info.ts";
import type { AccessQuestion, Decision } from "./authz/question.ts";

/** What every handler may use. Made once by createApiServer. */
export type Server = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly kinds: KindTable;
  readonly admission: readonly AdmissionStep[];
  authorize(question: AccessQuestion): Promise<Decision>;
};

/** One request on one kind, on its way through the server. */
export type Call = {
  readonly server: Server;
  readonly request: ApiRequest;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  readonly kind: KindInfo;
  readonly user: User;
  readonly signal: AbortSignal;
  /** Texts for Warning headers. */
  readonly warnings: string[];
};

export type Operation = "CREATE" | "UPDATE" | "DELETE" | "CONNECT";

export type Admission = {
  readonly call: Call;
  readonly operation: Operation;
  readonly kind: KindInfo;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Of a creation or update; a mutating step may change it in place. */
  readonly object: Tree | undefined;
  readonly current: Tree | undefined;
  readonly isDryRun: boolean;
};

/** A built-in admission plug-in. `mutate` runs before validation, `validate` after it; both may refuse. */
export type AdmissionStep = {
  readonly name: string;
  mutate?(admission: Admission): Promise<void> | void;
  validate?(admission: Admission): Promise<void> | void;
  /** After a creation or update was written, or when it was not after all. */
  settle?(admission: Admission, isWritten: boolean): void;
  /** After an object was taken out of the store. */
  removed?(what: { readonly kind: KindInfo; readonly object: Tree }): Promise<void> | void;
};

export function isDryRun(call: Pick<Call, "query">): boolean {
  return call.query.getAll("dryRun").includes("All");
}

/** Who is noted in managedFields: the query's word, else the program's name from its user agent. */
export function managerName(call: Call): string {
  const given = call.query.get("fieldManager") ?? "";
  if (given !== "") return given;
  const agent = call.request.headers?.["user-agent"] ?? "";
  const program = agent.split("/")[0] ?? "";
  return program === "" ? "unknown" : program.slice(0, 128);
}
