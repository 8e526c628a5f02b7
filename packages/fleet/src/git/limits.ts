/** A fetch or a look at a remote that takes longer is given up (Fleet's gitClientTimeout is 30 s; a first fetch over a thin line takes longer). */
export const REMOTE_LOOK_MS_MAX = 30_000;
export const FETCH_MS_MAX = 300_000;
/** Largest file that git may write while it fetches: a pack of all of a commit. */
export const PACK_BYTES_MAX: number = 1024 * 1024 * 1024;
/** Refs that one look at a remote may tell. */
export const REFS_BYTES_MAX: number = 32 * 1024 * 1024;
/** Listing of a tree: about 100,000 files. */
export const LISTING_BYTES_MAX: number = 64 * 1024 * 1024;
/** Largest file that is read out of a repository. */
export const FILE_BYTES_MAX: number = 64 * 1024 * 1024;
export const SUBMODULE_DEPTH_MAX = 5;
export const SUBMODULES_MAX = 50;
/** What git said that is passed on to the user. */
export const GIT_WORDS_MAX = 500;
/** Largest push to the hub's own repository. */
export const PUSH_BYTES_MAX: number = 512 * 1024 * 1024;
/** Largest webhook payload (GitHub's is 25 MB). */
export const WEBHOOK_BYTES_MAX: number = 25 * 1024 * 1024;
/** Between two looks at a remote (Fleet: 15 s and a tenth of jitter, 1 h once a webhook arrived). */
export const POLL_MS_DEFAULT = 15_000;
export const POLL_MS_WITH_WEBHOOK = 3_600_000;
export const POLL_MS_MIN = 15_000;
export const POLL_JITTER = 0.1;
export const REPOSITORIES_AT_ONCE = 4;
/** Two writers of one status: each gives way at most so often. */
export const STATUS_ATTEMPTS_MAX = 5;
/** Webhooks whose sender proves nothing, in a minute: more are told to come later (429). */
export const UNSIGNED_WAKES_MAX = 30;
export const UNSIGNED_WAKES_MS = 60_000;
/** What a GitHub App says of itself holds ten minutes at most, and its clock may be behind (docs.github.com, "Generating a JWT"). */
export const GITHUB_CLAIM_S = 540;
export const GITHUB_CLAIM_BACK_S = 60;
/** A login holds an hour; a fetch that begins with it may take FETCH_MS_MAX. */
export const GITHUB_TOKEN_SPARE_MS: number = FETCH_MS_MAX + 60_000;
export const GITHUB_ASK_MS_MAX = 30_000;
export const GITHUB_ANSWER_BYTES_MAX: number = 64 * 1024;
/** A login with which a look did not go well is made anew at most so often: mostly it is the remote that is down. */
export const GITHUB_FORGET_MS = 60_000;
