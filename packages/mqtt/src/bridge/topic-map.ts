import { filterMatches, type QoS } from "@cortado/wire/mqtt";
import type { BridgeTopic } from "./settings.ts";

export type Mapped = { readonly topic: string; readonly qos: QoS };

/** Topics of here and there, each by the first line that fits. A prefix is text: no slash is added to it and none taken away. */
export class TopicMap {
  readonly #topics: readonly BridgeTopic[];

  constructor(topics: readonly BridgeTopic[]) {
    this.#topics = topics;
  }

  /** What our own broker gives to the bridge. */
  localFilters(): ReadonlyMap<string, QoS> {
    return filtersOf(this.#topics, { but: "in", prefix: ({ localPrefix }) => localPrefix });
  }

  /** What the remote is asked for. */
  remoteFilters(): ReadonlyMap<string, QoS> {
    return filtersOf(this.#topics, { but: "out", prefix: ({ remotePrefix }) => remotePrefix });
  }

  toRemote(topic: string): Mapped | undefined {
    for (const { direction, pattern, localPrefix, remotePrefix, qos } of this.#topics)
      if (direction !== "in" && filterMatches(localPrefix + pattern, topic))
        return { topic: remotePrefix + topic.slice(localPrefix.length), qos };
    return undefined;
  }

  toLocal(topic: string): Mapped | undefined {
    for (const { direction, pattern, localPrefix, remotePrefix, qos } of this.#topics)
      if (direction !== "out" && filterMatches(remotePrefix + pattern, topic))
        return { topic: localPrefix + topic.slice(remotePrefix.length), qos };
    return undefined;
  }
}

type Side = {
  readonly but: BridgeTopic["direction"];
  readonly prefix: (topic: BridgeTopic) => string;
};

function filtersOf(topics: readonly BridgeTopic[], { but, prefix }: Side): ReadonlyMap<string, QoS> {
  const filters = new Map<string, QoS>();
  for (const topic of topics) {
    if (topic.direction === but) continue;
    const filter = prefix(topic) + topic.pattern;
    const known = filters.get(filter) ?? 0;
    filters.set(filter, topic.qos > known ? topic.qos : known);
  }
  return filters;
}
