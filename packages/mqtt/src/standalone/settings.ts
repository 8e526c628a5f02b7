import type { BrokerLimits } from "../limits.ts";
import type { FileBridge } from "./file-bridge.ts";

export type ListenerTls = {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities of client certificates; absent: none is asked for. */
  readonly caFile?: string;
  readonly crlFile?: string;
  readonly requireCertificate?: boolean;
  /** The client's user name is what its certificate says: its common name, or its whole subject. */
  readonly identity?: "commonName" | "subject";
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
};

export type ListenerSettings = {
  readonly port?: number;
  /** Absent: all addresses of the machine. */
  readonly address?: string;
  /** Path of a Unix socket, instead of a port. */
  readonly unix?: string;
  readonly protocol?: "mqtt" | "websockets";
  readonly tls?: ListenerTls;
};

/** What a broker by itself is told by its file. */
export type MqttSettings = {
  readonly folder: string;
  readonly listeners: readonly ListenerSettings[];
  /** Whether clients may come without a user name. */
  readonly allowAnonymous: boolean;
  /** As mosquitto_passwd writes it. */
  readonly passwordFile?: string;
  /** As mosquitto's acl_file. Absent: everybody may all but publish to $SYS. */
  readonly aclFile?: string;
  /** Only clients whose id begins with it. */
  readonly clientIdPrefix?: string;
  readonly limits?: Partial<BrokerLimits>;
  readonly bridges?: readonly FileBridge[];
  readonly logLevel?: "debug" | "info" | "warn" | "error";
};
