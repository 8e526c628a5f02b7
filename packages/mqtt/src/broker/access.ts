/** What a client shows at the door. */
export type Credentials = {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly remote: string;
  /** Common name of its client certificate, where one was asked for and is good. */
  readonly certificateName?: string;
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

/** Another server for a client, `host:port`: from now on, or until it is told otherwise (MQTT 5, section 4.11). */
export type Redirect = (client: {
  readonly clientId: string;
}) => { readonly server: string; readonly forGood: boolean } | undefined;
