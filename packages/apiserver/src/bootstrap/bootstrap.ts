import { builtInKinds } from "@cortado/kinds/built-in";
import { apiVersionText } from "@cortado/kinds/kind-info";
import { textAt, type Tree } from "@cortado/kinds/tree";
import { fromStatus } from "@cortado/std/status";
import type { ApiRequest, ApiResponse, User } from "../api.ts";
import { firstObjects, type ServiceNetwork } from "./objects.ts";
import { defaultPolicy } from "./policy.ts";

type Bootstrapping = {
  handle(request: ApiRequest): Promise<ApiResponse>;
  readonly network: ServiceNetwork;
  readonly definitions: readonly Tree[];
  readonly signal: AbortSignal;
};

const self: User = { name: "system:apiserver", groups: ["system:masters", "system:authenticated"] };

/** Makes what every store begins with; what is there already stays as it is. */
export async function bootstrap({ handle, network, definitions, signal }: Bootstrapping): Promise<void> {
  for (const object of [...defaultPolicy(), ...firstObjects(network), ...definitions]) {
    const response = await handle({
      method: "POST",
      path: pathOf(object),
      headers: { "user-agent": "cortado/apiserver" },
      user: self,
      body: object,
      signal,
      form: "objects",
    });
    const body = response.body.kind === "object" ? response.body.value : undefined;
    if (response.status >= 300 && response.status !== 409) throw fromStatus(body);
  }
}

function pathOf(object: Tree): string {
  const version = textAt(object, "apiVersion");
  const kind = builtInKinds.find(
    (one) => apiVersionText(one) === version && one.kind === textAt(object, "kind"),
  );
  if (kind === undefined)
    throw new Error(`${version} ${textAt(object, "kind")} is a kind that the server has`);
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const namespace = textAt(object, "metadata", "namespace");
  return namespace === "" ? `${root}/${kind.plural}` : `${root}/namespaces/${namespace}/${kind.plural}`;
}
