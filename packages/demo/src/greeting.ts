import type { DemoFile } from "./state.ts";

/** What is where, and three things to try. */
export function greeting({ hub, stores, runtime }: DemoFile): readonly string[] {
  const isReal = runtime === "containerd";
  const first = stores[0];
  const last = stores.at(-1);
  const ofStores = stores.flatMap(({ name, shop, gateway, mqtt, kubeconfig }) => [
    `Store ${name}${isReal ? " sells" : " is up"}.`,
    ...(shop === null ? [] : [`  shop        ${shop}   (barista: ${shop}/barista)`]),
    ...(gateway === null ? [] : [`  functions   ${gateway}`]),
    ...(mqtt === null ? [] : [`  mqtt        ${mqtt}`]),
    `  kubeconfig  ${kubeconfig}`,
  ]);
  const order =
    '{"id":"\'$(cat /proc/sys/kernel/random/uuid)\'","items":[{"sku":"latte","quantity":1}],"payment":{"method":"card","token":"tok_visa"}}';
  return [
    ...ofStores,
    "The hub steers them from Git.",
    `  git         ${hub.git}`,
    ...(hub.dashboard === null ? [] : [`  dashboard   ${hub.dashboard}`]),
    `  kubeconfig  ${hub.kubeconfig}`,
    "Try:",
    "  1. A push that reaches every store:",
    `     git clone ${hub.git} && cd coffee-shop && sed -i 's/GracePeriodSeconds: 5/GracePeriodSeconds: 6/' manifests/payment.yaml && git -c user.name=me -c user.email=me@example.test commit -am 'More patience' && git push`,
    `     kubectl --kubeconfig ${hub.kubeconfig} get clusters.fleet.cattle.io,bundles -A`,
    ...(first === undefined || first.mqtt === null
      ? []
      : [
          "  2. A fridge that is too warm, and the alert of it:",
          `     mosquitto_pub -L ${first.mqtt}//store104/fridge/temp -q 1 -m '{"temp": 97.4, "unit": "F"}'`,
          `     kubectl --kubeconfig ${first.kubeconfig} get alerts -A`,
        ]),
    ...(last === undefined || last.shop === null
      ? []
      : [
          "  3. A store without its line goes on selling:",
          `     npx cortado demo unplug ${last.name}`,
          `     curl -i ${last.shop}/api/orders -H 'content-type: application/json' -d '${order}'`,
        ]),
    "Ctrl-C ends it; the data stays.",
  ];
}
