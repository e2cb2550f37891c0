import { type ApiError, url } from './api';
import { Batch } from './batch';
import { follow, type LinkState } from './sse';

export interface LiveStatus {
  at_us: number;
  received: number;
  stored: number;
  duplicates: number;
  quarantined: number;
  matches: number;
  rate_per_s: number;
  matches_per_s: number;
  latency_ms: { p50: number | null; p99: number | null } | null;
  lag: number | null;
  tonight: Record<string, any> | null;
}

export interface Match {
  filter: string;
  version: string;
  survey: string;
  alert_id: string;
  object_id: string | null;
  ra: number;
  dec: number;
  band: string | null;
  mag: number | null;
  mjd_tai: number;
  matched_us: number;
  cursor?: string;
}

/** Seconds of rates that the sparklines show. */
export const SPAN = 120;
const MATCHES = 200;
/** How often what came is shown, so that one can read it. */
const SHOW_MS = 700;

/** What the broker tells as it happens, for all pages: one connection. */
export const live = $state({
  link: 'connecting' as LinkState,
  error: null as ApiError | null,
  status: null as LiveStatus | null,
  history: [] as LiveStatus[],
  matches: [] as Match[],
});

let started = false;
const came = new Batch<Match>(SHOW_MS, (matches) => (live.matches = [...matches.reverse(), ...live.matches].slice(0, MATCHES)));

/** Begins to listen, once. */
export function listen(): void {
  if (started) return;
  started = true;
  follow(url('events', { status: 1 }), {
    onState(state, error) {
      live.link = state;
      live.error = state === 'open' ? null : (error ?? live.error);
    },
    onEvent(event, data) {
      if (event === 'status') {
        live.status = data;
        live.history = [...live.history.slice(1 - SPAN), data];
      } else if (event === 'match') {
        came.push(data);
      }
    },
  });
}
