import type { Stored } from "@cortado/client";
import { clusters, type Cluster } from "@cortado/kinds/fleet";
import { isTree, textAt, treeAt } from "@cortado/kinds/tree";
import { errorAnswer, jsonAnswer, parseJson, type HttpHandler } from "@cortado/std/http";
import { hasReason, StatusError, toStatusError } from "@cortado/std/status";
import type { RegisterAnswer } from "../../protocol/protocol.ts";
import { audit, type AuditEvent } from "../audit.ts";
import type { Core } from "../core.ts";
import {
  CHALLENGE_MS,
  CHALLENGES_MAX,
  NAME_CHARS_MAX,
  REQUEST_BYTES_MAX,
  ROW_LOOK_MS,
  ROW_MS_MAX,
} from "../limits.ts";
import type { ClusterKey, HubRoute } from "../ports.ts";
import { sha256Of } from "../sources/blobs.ts";
import { isRevoked, setKey, type StoreRow } from "../state/stores.ts";
import { writeOwnStatus } from "../status/own-status.ts";
import { checkKey, isSigned } from "./keys.ts";
import { noteRegistration } from "./registrations.ts";
import type { Tokens } from "./tokens.ts";

type Wanted = {
  readonly clientId: string;
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly publicKey: string;
};

/** The doors of a hub that open without a certificate; each checks its caller itself. */
export class Doors {
  readonly routes: readonly HubRoute[];
  readonly #core: Core;
  readonly #tokens: Tokens;
  /** Challenges that were given and not used yet, and until when they are good. */
  readonly #challenges: Map<string, number> = new Map();

  constructor(core: Core, tokens: Tokens) {
    this.#core = core;
    this.#tokens = tokens;
    const { authority } = core.options;
    const certificates: HttpHandler = () =>
      Promise.resolve({
        status: 200,
        headers: { "content-type": "application/x-pem-file" },
        body: authority,
      });
    this.routes = [
      route("/cacerts", "GET", certificates),
      route("/fleet/v1/challenge", "GET", () =>
        Promise.resolve(jsonAnswer(200, { challenge: this.#challenge() })),
      ),
      this.#audited("/fleet/v1/register", "registration refused", (body) => this.#register(body)),
      this.#audited("/fleet/v1/renew", "renewal refused", (body) => this.#renew(body)),
    ];
  }

  /** A door at which somebody may try what is not theirs: each refusal is a line of the audit. */
  #audited(path: string, event: AuditEvent, open: (body: unknown) => Promise<object>): HubRoute {
    return route(path, "POST", async (request) => {
      const body = parseJson(await request.body({ bytesMax: REQUEST_BYTES_MAX }));
      try {
        return jsonAnswer(200, await open(body));
      } catch (error) {
        const { reason, code, message: why } = toStatusError(error);
        const name = textAt(body, "cluster", "name") || textAt(body, "name") || textAt(body, "clientId");
        const cluster = `${textAt(body, "cluster", "namespace")}/${name}`.slice(0, NAME_CHARS_MAX);
        if (hasReason(error, "Unauthorized", "Forbidden", "Conflict"))
          audit(this.#core.ports, event, { cluster, remote: request.remote, reason, code, why });
        throw error;
      }
    });
  }

  #challenge(): string {
    const { random, clock } = this.#core.ports;
    for (const [old] of this.#challenges) {
      if (this.#challenges.size < CHALLENGES_MAX) break;
      this.#challenges.delete(old);
    }
    const challenge = Buffer.from(random.bytes(24)).toString("hex");
    this.#challenges.set(challenge, clock.monotonicMs() + CHALLENGE_MS);
    return challenge;
  }

  async #register(body: unknown): Promise<RegisterAnswer> {
    const token = textAt(body, "token");
    const namespace = this.#tokens.namespaceOf(token);
    const clientId = textAt(body, "clientId");
    const publicKey = textAt(body, "publicKey");
    if (clientId === "") throw new StatusError("Invalid", "clientId is missing; give the uid of kube-system");
    checkKey(publicKey);
    const signed = `register\n${clientId}\n${sha256Of(token)}`;
    if (!isSigned(publicKey, signed, textAt(body, "proof")))
      throw new StatusError(
        "Unauthorized",
        "the proof is not signed by the key; sign what the protocol says",
      );
    const name = textAt(body, "name");
    const labels = labelsOf(body);
    const wanted = { clientId, labels, publicKey, name: name === "" ? undefined : name };
    const cluster = await this.#clusterFor(namespace, wanted);
    const days = this.#core.options.certificateDays;
    const certificate = await this.#core.ports.issue({ publicKey, cluster, days });
    // For people to read: the store need not wait for it.
    noteRegistration(this.#core, cluster, wanted).catch((error: unknown) => {
      if (!this.#core.signal.aborted)
        this.#core.ports.log.warn("a registration is not written down", { cluster, error });
    });
    this.#core.ports.log.info("store is registered", { cluster: `${cluster.namespace}/${cluster.name}` });
    return { cluster, certificate };
  }

  async #clusterFor(namespace: string, wanted: Wanted): Promise<ClusterKey> {
    const { client } = this.#core.ports;
    const { signal } = this.#core;
    const same = this.#core.stores.ofClient(namespace, wanted.clientId)?.cluster.name;
    const name = wanted.name ?? same ?? nameFrom(wanted.clientId);
    const where = { namespace, name };
    if (same !== undefined && same !== name)
      throw new StatusError(
        "Conflict",
        `this store is Cluster ${namespace}/${same} already; register under that name, or delete that Cluster`,
      );
    const found = await this.#find(where);
    if (found === undefined) await this.#create(where, wanted);
    else {
      checkFound(found, wanted);
      // One that was made beforehand, for its labels, say, is the first store's that asks for it.
      const body = { spec: { clientID: wanted.clientId } };
      if (isUnclaimed(found)) await client.patch(clusters, { ...where, type: "merge", body, signal });
    }
    const known = found?.status?.publicKey ?? "";
    // Who has a token and the key begins a new row of session words.
    const session = { confirmed: "", offered: "" };
    const fields = {
      publicKey: wanted.publicKey,
      ...(known === "" ? {} : { session: { ...found?.status?.session, ...session } }),
    };
    await writeOwnStatus(this.#core, clusters, { ...where, fields });
    const row = await this.#rowOf(where);
    if (row !== undefined) row.status = { ...row.status, session: { ...row.status.session, ...session } };
    if (row !== undefined) setKey(row, wanted.publicKey);
    return where;
  }

  async #find(where: ClusterKey): Promise<Stored<Cluster> | undefined> {
    try {
      return await this.#core.ports.client.get(clusters, { ...where, signal: this.#core.signal });
    } catch (error) {
      if (hasReason(error, "NotFound")) return undefined;
      throw error;
    }
  }

  /** The row of a Cluster that was just made: a store that calls at once must be known. */
  async #rowOf({ namespace, name }: ClusterKey): Promise<StoreRow | undefined> {
    const { stores, ports, signal } = this.#core;
    const untilMs = ports.clock.monotonicMs() + ROW_MS_MAX;
    for (;;) {
      const row = stores.get(`${namespace}/${name}`);
      if (row !== undefined || ports.clock.monotonicMs() >= untilMs) return row;
      await ports.clock.sleep(ROW_LOOK_MS, { signal });
    }
  }

  async #create({ namespace, name }: ClusterKey, { clientId, labels }: Wanted): Promise<void> {
    const metadata = { namespace, name, labels: { ...labels } };
    try {
      await this.#core.ports.client.create(
        clusters,
        { metadata, spec: { clientID: clientId } },
        { signal: this.#core.signal, fieldManager: "cortado-hub" },
      );
    } catch (error) {
      if (!hasReason(error, "AlreadyExists")) throw error;
      throw new StatusError("Conflict", `Cluster ${namespace}/${name} is being registered; try again`, {
        cause: error,
      });
    }
  }

  async #renew(body: unknown): Promise<{ readonly certificate: string }> {
    const { clock, client, issue } = this.#core.ports;
    const namespace = textAt(body, "cluster", "namespace");
    const name = textAt(body, "cluster", "name");
    const challenge = textAt(body, "challenge");
    const untilMs = this.#challenges.get(challenge) ?? 0;
    this.#challenges.delete(challenge);
    if (untilMs < clock.monotonicMs())
      throw new StatusError(
        "Unauthorized",
        "the challenge is not one of this hub, or is too old; ask for another",
      );
    const refused = new StatusError(
      "Forbidden",
      `the proof is not that of cluster ${namespace}/${name}; register the store again`,
    );
    if (namespace === "" || name === "") throw refused;
    const found = await client
      .get(clusters, { namespace, name, signal: this.#core.signal })
      .catch(() => undefined);
    const publicKey = found?.status?.publicKey ?? "";
    const isProven = isSigned(publicKey, `renew\n${namespace}/${name}\n${challenge}`, textAt(body, "proof"));
    if (found === undefined || !isProven) throw refused;
    checkRevoked(found);
    const days = this.#core.options.certificateDays;
    return { certificate: await issue({ publicKey, cluster: { namespace, name }, days }) };
  }
}

function route(path: string, method: string, handle: HttpHandler): HubRoute {
  const safely: HttpHandler = async (request) => {
    try {
      return await handle(request);
    } catch (error) {
      return errorAnswer(error);
    }
  };
  return { path, methods: [method], allow: "anyone", handle: safely };
}

function labelsOf(body: unknown): Readonly<Record<string, string>> {
  const labels = treeAt(body, "labels");
  for (const [key, value] of Object.entries(isTree(labels) ? labels : {}))
    if (typeof value !== "string") throw new StatusError("Invalid", `label ${key} is no text`);
  return labels as Readonly<Record<string, string>>;
}

function nameFrom(clientId: string): string {
  return `cluster-${sha256Of(clientId).slice(0, 12)}`;
}

function isUnclaimed({ spec, status }: Stored<Cluster>): boolean {
  return (spec?.clientID ?? "") === "" && (status?.publicKey ?? "") === "";
}

function checkFound(found: Stored<Cluster>, { clientId, publicKey }: Wanted): void {
  const about = `Cluster ${found.metadata.namespace ?? ""}/${found.metadata.name ?? ""}`;
  checkRevoked(found);
  if (!isUnclaimed(found) && found.spec?.clientID !== clientId)
    throw new StatusError("Conflict", `${about} is another store's; register under another name`);
  const known = found.status?.publicKey ?? "";
  if (known !== "" && known !== publicKey)
    throw new StatusError(
      "Conflict",
      `${about} has another key: was the store set up anew? Delete the Cluster then, and register again`,
    );
}

function checkRevoked(cluster: Stored<Cluster>): void {
  if (isRevoked(cluster))
    throw new StatusError(
      "Forbidden",
      `Cluster ${cluster.metadata.namespace ?? ""}/${cluster.metadata.name ?? ""} was revoked; ask who runs the hub`,
    );
}
