import { deployments, pods, statefulSets } from "@cortado/kinds/resources";
import type { ResourceType } from "@cortado/kinds/resources";
import type { KubeObject } from "@cortado/kinds";
import { hasReason } from "@cortado/std/status";
import type { ActorPorts } from "./actor-ports.ts";

const namespace = "default";
const template = (app: string, image: string) => ({
  metadata: { labels: { app } },
  // Tokens are signed on threads, which keep no order: pods do without.
  spec: {
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    containers: [{ name: "main", image }],
  },
});

/** A Deployment and a StatefulSet that somebody keeps changing, and whose pods somebody keeps deleting. */
export class Shop {
  readonly #ports: ActorPorts;
  #replicas = 2;
  #image = 1;

  constructor(ports: ActorPorts) {
    this.#ports = ports;
  }

  async run(): Promise<void> {
    const { clock, random, signal } = this.#ports;
    await this.install();
    while (!signal.aborted) {
      await clock.sleep(3_000 + random.integer(20_000), { signal });
      const what = random.integer(4);
      if (what === 0) await this.#patch({ replicas: (this.#replicas = 1 + random.integer(4)) });
      else if (what === 1)
        await this.#patch({ template: template("order", `cortado.local/order:${(this.#image += 1)}`) });
      else await this.#deleteOne();
    }
  }

  /** Asks until both are there. */
  async install(): Promise<void> {
    const spec = (app: string) => ({
      replicas: this.#replicas,
      selector: { matchLabels: { app } },
      template: template(app, `cortado.local/${app}:1`),
    });
    await this.#make(deployments, { metadata: { name: "order", namespace }, spec: spec("order") });
    await this.#make(statefulSets, {
      metadata: { name: "espresso", namespace },
      spec: { ...spec("espresso"), replicas: 1, serviceName: "espresso" },
    });
  }

  /** Whether everything is as it was asked for; a text says what is not. */
  async atRest(): Promise<string | undefined> {
    const { store, signal } = this.#ports;
    const answer = await store.ask(async ({ client }) => ({
      deployment: await client.get(deployments, { name: "order", namespace, signal }),
      espresso: await client.get(statefulSets, { name: "espresso", namespace, signal }),
      all: (await client.list(pods, { namespace, signal })).items,
    }));
    if (answer.kind !== "done") return "the store does not say";
    const { deployment, espresso, all } = answer.result;
    const wanted = deployment.spec?.replicas ?? 0;
    if (deployment.status?.readyReplicas !== wanted || deployment.status?.updatedReplicas !== wanted)
      return `the deployment has ${deployment.status?.readyReplicas} ready of ${wanted}: ${JSON.stringify(all.map(({ metadata, status }) => [metadata.name, metadata.deletionTimestamp, status?.phase]))}`;
    if (espresso.status?.readyReplicas !== 1) return `espresso-0 is not ready`;
    return all.length === wanted + 1 ? undefined : `${all.length} pods are there for ${wanted + 1}`;
  }

  async #make<Kind extends KubeObject>(
    type: ResourceType<Kind>,
    object: { metadata: object; spec: object },
  ): Promise<void> {
    const { clock, signal, store } = this.#ports;
    for (;;) {
      const answer = await store.ask(({ client }) => client.create(type, object as never, { signal }));
      if (answer.kind === "done" || (answer.kind === "refused" && hasReason(answer.error, "AlreadyExists")))
        return;
      await clock.sleep(500, { signal });
    }
  }

  async #patch(spec: object): Promise<void> {
    const { store, signal, trace } = this.#ports;
    const answer = await store.ask(({ client }) =>
      client.patch(deployments, { name: "order", namespace, type: "merge", body: { spec }, signal }),
    );
    trace.note(store.name, `shop-${answer.kind}`, Object.keys(spec).join());
  }

  async #deleteOne(): Promise<void> {
    const { store, signal, random, trace } = this.#ports;
    const list = await store.ask(({ client }) => client.list(pods, { namespace, signal }));
    if (list.kind !== "done" || list.result.items.length === 0) return;
    const name = list.result.items[random.integer(list.result.items.length)]?.metadata.name ?? "";
    const answer = await store.ask(({ client }) => client.delete(pods, { name, namespace, signal }));
    trace.note(store.name, `pod-delete-${answer.kind}`, name);
  }
}
