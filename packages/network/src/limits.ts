import { assert } from "@cortado/std/assert";

/** Changes are gathered this long before rules are written: a rollout changes many slices at once (kube-proxy, minSyncPeriod, is 1 s). */
export const RULES_GATHER_MS = 30;
/** After a failure rules are written whole, after this long. */
export const RULES_RETRY_MS = 1_000;
/** One run of nft; 1,000 services take 0.3 s. */
export const NFT_RUN_MS = 30_000;

/** Answers of the cluster's DNS may be kept this long (CoreDNS, kubernetes plugin, ttl). */
export const DNS_TTL_S = 5;
/** UDP answers without EDNS (RFC 1035, 2.3.4), and the most with it that is not fragmented (DNS flag day 2020). */
export const DNS_UDP_BYTES = 512;
export const DNS_UDP_BYTES_MAX = 1_232;
/** Length is two bytes on TCP (RFC 1035, 4.2.2). */
export const DNS_TCP_BYTES_MAX = 65_535;
/** Patience with one upstream, and questions that may wait for upstreams; over it the answer is SERVFAIL. */
export const DNS_UPSTREAM_MS = 2_000;
export const DNS_FORWARDED_MAX = 500;
/** TCP clients at once, and how long one may be silent. */
export const DNS_CLIENTS_MAX = 100;
export const DNS_CLIENT_IDLE_MS = 10_000;
/** Links of a CNAME chain that are followed inside the cluster. */
export const DNS_CNAME_MAX = 8;

/** Connecting to a pod; it is one hop away. */
export const INGRESS_CONNECT_MS = 3_000;
/** How long a backend may be silent before its headers come, and between bytes (nginx, proxy_read_timeout is 60 s). */
export const INGRESS_SILENT_MS = 60_000;
/** Endpoints tried for one request that may be sent again. */
export const INGRESS_TRIES = 3;
/** Connections to one endpoint, and how many are kept open without use. */
export const INGRESS_SOCKETS_MAX = 512;
export const INGRESS_SOCKETS_IDLE_MAX = 16;
/** Shorter than the 5 s after which Node's servers close an idle connection, so that a request does not meet a closing one. */
export const INGRESS_IDLE_MS = 4_000;
/** Client connections at once; over it a new one is closed at once. */
export const INGRESS_CLIENTS_MAX = 10_000;
/** Headers of one request. */
export const INGRESS_HEADER_BYTES_MAX: number = 64 * 1024;
/** Certificates of Secrets are read anew this often; a renewed one is served without a restart. */
export const CERTIFICATES_REFRESH_MS = 60_000;

assert(DNS_UDP_BYTES < DNS_UDP_BYTES_MAX, "EDNS makes answers longer");
assert(INGRESS_CONNECT_MS < INGRESS_SILENT_MS, "connecting is quicker than answering");
/** Largest packet of a line that does not say (Ethernet). */
export const LINE_MTU = 1_500;
