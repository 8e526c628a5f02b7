import type { TableInfo } from "../kind-info.ts";
import { at, listAt, textAt, type Tree } from "../tree.ts";
import { created, nameOf, orNone, selectorText, table } from "./columns.ts";

export const serviceTable: TableInfo = table(
  ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"],
  (service, age) => [
    nameOf(service),
    textAt(service, "spec", "type"),
    textAt(service, "spec", "type") === "ExternalName"
      ? "<none>"
      : orNone(
          textAt(
            listAt(service, "spec", "clusterIPs")[0] ? { ip: listAt(service, "spec", "clusterIPs")[0] } : {},
            "ip",
          ) || textAt(service, "spec", "clusterIP"),
        ),
    externalAddress(service),
    servicePorts(service),
    age(created(service)),
    selectorText({ matchLabels: at(service, "spec", "selector") ?? {} }),
  ],
);

function externalAddress(service: Tree): string {
  const given = listAt(service, "spec", "externalIPs").join(",");
  switch (textAt(service, "spec", "type")) {
    case "ExternalName":
      return textAt(service, "spec", "externalName");
    case "LoadBalancer": {
      const held = listAt(service, "status", "loadBalancer", "ingress").map(
        (one) => textAt(one, "ip") || textAt(one, "hostname"),
      );
      return [...held, given].filter((text) => text !== "").join(",") || "<pending>";
    }
    default:
      return orNone(given);
  }
}

function servicePorts(service: Tree): string {
  const ports = listAt(service, "spec", "ports").map((port) => {
    const node = at(port, "nodePort");
    const own =
      typeof node === "number" && node > 0 ? `${String(at(port, "port"))}:${node}` : String(at(port, "port"));
    return `${own}/${textAt(port, "protocol")}`;
  });
  return orNone(ports.join(","));
}

export const endpointsTable: TableInfo = table(["Name", "Endpoints", "Age"], (object, age) => {
  const all: string[] = [];
  for (const subset of listAt(object, "subsets")) {
    const ports = listAt(subset, "ports");
    for (const address of listAt(subset, "addresses"))
      if (ports.length === 0) all.push(textAt(address, "ip"));
      else for (const port of ports) all.push(`${textAt(address, "ip")}:${String(at(port, "port"))}`);
  }
  return [nameOf(object), firstFew(all), age(created(object))];
});

export const endpointSliceTable: TableInfo = table(
  ["Name", "AddressType", "Ports", "Endpoints", "Age"],
  (object, age) => [
    nameOf(object),
    textAt(object, "addressType"),
    firstFew(
      listAt(object, "ports").map((port) => String(at(port, "port") ?? "*")),
      "<unset>",
    ),
    firstFew(
      listAt(object, "endpoints").flatMap((one) => listAt(one, "addresses").map(String)),
      "<unset>",
    ),
    age(created(object)),
  ],
);

function firstFew(all: readonly string[], none = "<none>"): string {
  if (all.length === 0) return none;
  return all.length > 3 ? `${all.slice(0, 3).join(",")} + ${all.length - 3} more...` : all.join(",");
}

export const ingressTable: TableInfo = table(
  ["Name", "Class", "Hosts", "Address", "Ports", "Age"],
  (object, age) => {
    const hosts = listAt(object, "spec", "rules").map((rule) => textAt(rule, "host") || "*");
    const held = listAt(object, "status", "loadBalancer", "ingress").map(
      (one) => textAt(one, "ip") || textAt(one, "hostname"),
    );
    const note = at(object, "metadata", "annotations", "kubernetes.io/ingress.class");
    return [
      nameOf(object),
      orNone(textAt(object, "spec", "ingressClassName") || note),
      hosts.length === 0
        ? "*"
        : hosts.length > 3
          ? `${hosts.slice(0, 3).join(",")} + ${hosts.length - 3} more...`
          : hosts.join(","),
      held.join(","),
      listAt(object, "spec", "tls").length > 0 ? "80, 443" : "80",
      age(created(object)),
    ];
  },
);

export const ingressClassTable: TableInfo = table(
  ["Name", "Controller", "Parameters", "Age"],
  (object, age) => {
    const group = textAt(object, "spec", "parameters", "apiGroup");
    const kind = textAt(object, "spec", "parameters", "kind");
    const name = textAt(object, "spec", "parameters", "name");
    return [
      nameOf(object),
      textAt(object, "spec", "controller"),
      name === "" ? "<none>" : `${kind}${group === "" ? "" : `.${group}`}/${name}`,
      age(created(object)),
    ];
  },
);
