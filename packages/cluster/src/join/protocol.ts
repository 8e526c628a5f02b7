// What an agent and its server say to each other when a machine joins; the paths are K3s's.

export const AUTHORITY_PATH = "/cacerts";
export const JOIN_PATH = "/v1-k3s/";
export const SETTINGS_PATH: string = `${JOIN_PATH}config`;
export const KUBELET_CERTIFICATE_PATH: string = `${JOIN_PATH}client-kubelet.crt`;
export const PROXY_CERTIFICATE_PATH: string = `${JOIN_PATH}client-kube-proxy.crt`;
export const TUNNEL_PATH: string = `${JOIN_PATH}connect`;

/** Headers by which a machine says which node it is. */
export const NODE_NAME_HEADER = "k3s-node-name";
export const NODE_PASSWORD_HEADER = "k3s-node-password";

/** Group of who comes with a token. */
export const JOINERS_GROUP = "k3s:agent";
export const NODES_GROUP = "system:nodes";
export const NODE_USER_PREFIX = "system:node:";

/** How nodes reach each other's pods. */
export const flannelBackends = ["vxlan", "host-gw", "none"] as const;
export type FlannelBackend = (typeof flannelBackends)[number];

/** What all nodes of a cluster have alike; the server tells it. */
export type ClusterSettings = {
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  readonly clusterDns: string;
  readonly clusterDomain: string;
  readonly flannelBackend: FlannelBackend;
  /** Parts that the server was told not to start. */
  readonly disable: readonly string[];
};
