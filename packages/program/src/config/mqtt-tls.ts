import { StatusError } from "@cortado/std/status";

/** Where a store's broker speaks TLS, and with what. */
export type MqttTlsConfig = {
  /** 0: none. */
  readonly port: number;
  readonly webSocketPort: number;
  /** Absent: what the API server shows. */
  readonly files: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Who signs clients' certificates; absent: none is asked for. */
  readonly caFile: string | undefined;
  readonly crlFile: string | undefined;
  readonly requireCertificate: boolean;
};

const settings = [
  "mqtt-tls",
  "mqtt-tls-port",
  "mqtt-websocket-tls-port",
  "mqtt-tls-cert-file",
  "mqtt-tls-key-file",
  "mqtt-tls-ca-file",
  "mqtt-tls-crl-file",
  "mqtt-tls-require-certificate",
] as const;
type SettingName = (typeof settings)[number];

export type SettingReader = {
  optional(name: SettingName): string | undefined;
  number(name: SettingName): number;
  flag(name: SettingName): boolean;
  /** Whether somebody has set it. */
  isGiven(name: SettingName): boolean;
};

/** Undefined when nobody asks for it. @throws StatusError "BadRequest" naming what does not go together */
export function toMqttTls({ optional, number, flag, isGiven }: SettingReader): MqttTlsConfig | undefined {
  if (!flag("mqtt-tls")) {
    const lost = settings.find((name) => name !== "mqtt-tls" && isGiven(name));
    if (lost === undefined) return undefined;
    throw refused(lost, "it is for MQTT over TLS, which is not asked for; set mqtt-tls too");
  }
  const certFile = optional("mqtt-tls-cert-file");
  const keyFile = optional("mqtt-tls-key-file");
  if (certFile === undefined && keyFile !== undefined)
    throw refused("mqtt-tls-key-file", "give mqtt-tls-cert-file too");
  if (certFile !== undefined && keyFile === undefined)
    throw refused("mqtt-tls-cert-file", "give mqtt-tls-key-file too");
  const caFile = optional("mqtt-tls-ca-file");
  const crlFile = optional("mqtt-tls-crl-file");
  const requireCertificate = flag("mqtt-tls-require-certificate");
  if (caFile === undefined && requireCertificate)
    throw refused("mqtt-tls-require-certificate", "name who signs clients' certificates by mqtt-tls-ca-file");
  if (caFile === undefined && crlFile !== undefined)
    throw refused("mqtt-tls-crl-file", "name who signs clients' certificates by mqtt-tls-ca-file");
  const port = number("mqtt-tls-port");
  const webSocketPort = number("mqtt-websocket-tls-port");
  if (port === 0 && webSocketPort === 0)
    throw refused("mqtt-tls", "both mqtt-tls-port and mqtt-websocket-tls-port are 0; set one of them");
  const files = certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
  return { port, webSocketPort, files, caFile, crlFile, requireCertificate };
}

function refused(name: SettingName, why: string): StatusError {
  return new StatusError("BadRequest", `${name}: ${why}`);
}
