/** How long a store may take until `/readyz` answers (the bar is 3 s; a cold disk and a first image import take longer). */
export const BOOT_MS_MAX = 120_000;
/** How often readiness and processes are looked at. */
export const LOOK_MS = 500;
/** How long our process may take to stop before it is killed. */
export const STOP_MS_MAX = 5_000;
/** How long a box or our process in it may take to be there; a busy machine needs seconds. */
export const START_WITHIN_MS = 20_000;
/** How long `npm start` waits until the shop sells. */
export const READY_MS_MAX = 170_000;
/** The wide area: carrier-grade NAT's addresses (RFC 6598), which no store's LAN uses. */
export const WAN_PREFIX = "100.64.0";
/** Where the hub listens in the wide area, as K3s does. */
export const HUB_PORT = 6443;
/** How long the hub may take to make a registration token. */
export const TOKEN_MS_MAX = 10_000;
/** Where the acquirer listens in the wide area. */
export const ACQUIRER_PORT = 9090;
