import type { PeerCertificate } from "@cortado/std/net";

/** What a client shows at the door. */
export type Credentials = {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly remote: string;
  /** That it has shown and that was checked, on a TLS listener which asks for one. */
  readonly certificate?: PeerCertificate;
  /** Of the listener that it came to, where names are its own; the user that is answered is a name in it. */
  readonly realm?: string;
};
/** Answers who it is, or undefined when it is nobody we let in. */
export type Authenticate = (credentials: Credentials) => Promise<{ readonly user: string } | undefined>;
export type Access = {
  readonly user: string;
  readonly clientId: string;
  readonly action: "publish" | "subscribe";
  readonly topic: string;
};
export type Authorize = (access: Access) => boolean;
/** Whether a session gets a message on a topic that it has subscribed to. */
export type MayRead = (
  session: { readonly user: string; readonly clientId: string },
  topic: string,
) => boolean;

/** Another server for a client, `host:port`: from now on, or until it is told otherwise (MQTT 5, section 4.11). */
export type Redirect = (client: {
  readonly clientId: string;
}) => { readonly server: string; readonly forGood: boolean } | undefined;
