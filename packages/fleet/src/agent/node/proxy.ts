import { BlockList, isIP } from "node:net";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The HTTP proxy that the environment names for the hub, as curl and Go read it: `HTTPS_PROXY`, but for hosts that `NO_PROXY` lists
 * (`*`, names with all below them, names with a port, addresses and networks). Undefined: the hub is dialled directly.
 */
export function proxyFor(url: string, environment: Environment): string | undefined {
  const proxy = environment["HTTPS_PROXY"] || environment["https_proxy"];
  if (proxy === undefined || proxy === "") return undefined;
  const target = URL.parse(url);
  const list = environment["NO_PROXY"] || environment["no_proxy"] || "";
  if (target !== null && list.split(/[\s,]+/).some((entry) => entry !== "" && excludes(entry, target)))
    return undefined;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}

function excludes(entry: string, { hostname, port }: URL): boolean {
  if (entry === "*") return true;
  const host = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  if (entry.includes("/")) return isInNetwork(entry, host);
  const [, name = entry, wantedPort] = /^(.+?):(\d+)$/.exec(entry.replace(/^\[|\](?=:|$)/g, "")) ?? [];
  const isBare = isIP(entry) === 6;
  if (!isBare && wantedPort !== undefined && wantedPort !== (port === "" ? "443" : port)) return false;
  const wanted = (isBare ? entry : name).toLowerCase().replace(/^\*?\./, "");
  return host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`));
}

function isInNetwork(entry: string, host: string): boolean {
  const [address = "", bits = ""] = entry.split("/");
  const kind = (text: string): "ipv4" | "ipv6" => (isIP(text) === 6 ? "ipv6" : "ipv4");
  if (isIP(host) === 0 || isIP(address) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (kind(address) === "ipv6" ? 128 : 32)) return false;
  const network = new BlockList();
  network.addSubnet(address, Number(bits), kind(address));
  return network.check(host, kind(host));
}
