import type { Grant } from "./grant.ts";
import type { Session } from "./session.ts";

/** The members of one shared subscription (MQTT 5, section 4.8.2): each message goes to one of them, by turns. */
export class ShareGroup {
  readonly name: string;
  readonly filter: string;
  readonly #members: Map<Session, Grant> = new Map();
  #turn = 0;

  constructor(options: { readonly name: string; readonly filter: string }) {
    this.name = options.name;
    this.filter = options.filter;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  put(session: Session, grant: Grant): void {
    this.#members.set(session, grant);
  }

  drop(session: Session): void {
    this.#members.delete(session);
  }

  /** Who is next: one that is connected if any is, else one whose session keeps the message for it. */
  next(): { readonly session: Session; readonly grant: Grant } | undefined {
    const members = [...this.#members.keys()];
    let fallback: Session | undefined;
    for (let step = 0; step < members.length; step += 1) {
      const session = members[(this.#turn + step) % members.length];
      if (session === undefined) continue;
      if (session.outbox === undefined) {
        if (session.persistent) fallback ??= session;
        continue;
      }
      this.#turn = (this.#turn + step + 1) % members.length;
      return this.#with(session);
    }
    this.#turn += 1;
    return fallback === undefined ? undefined : this.#with(fallback);
  }

  #with(session: Session): { readonly session: Session; readonly grant: Grant } | undefined {
    const grant = this.#members.get(session);
    return grant === undefined ? undefined : { session, grant };
  }
}
