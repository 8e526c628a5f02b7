/** What a Secret says of a repository of charts (fleet.md 1.3: helmSecretName, helmSecretNameForPaths). */
export type ChartLogin = {
  readonly username: string;
  readonly password: string;
  /** PEM of who signs the repository's certificate. */
  readonly authority?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** OCI over plain HTTP. */
  readonly isPlainHttp?: boolean;
};

/** Whom a chart of this address is fetched as, for the bundle of this directory; undefined: as nobody. */
export type ChartLogins = (of: { readonly address: string; readonly path: string }) => ChartLogin | undefined;
