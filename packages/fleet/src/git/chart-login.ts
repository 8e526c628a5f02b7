/** What the Secret of `helmSecretName` says (fleet.md 1.3). */
export type ChartLogin = {
  readonly username: string;
  readonly password: string;
  /** PEM of who signs the repository's certificate. */
  readonly authority?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** OCI over plain HTTP. */
  readonly isPlainHttp?: boolean;
};
