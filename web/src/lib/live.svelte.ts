import { type ApiError, url } from './api';
import { askAgain } from './ask.svelte';
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
/** A break as short as this is not worth a word. */
const LOST_MS = 2000;
/** A broker tells its rates each second; who has not in this time has none. */
const STILL_MS = 3000;
/** How often what came is shown, so that one can read it. */
const SHOW_MS = 700;

/** What the broker tells as it happens, for all pages: one connection. */
export const live = $state({
  link: 'connecting' as LinkState,
  error: null as ApiError | null,
  /** Since when the broker has not answered [ms since 1970]; `null` while it does. */
  lost: null as number | null,
  status: null as LiveStatus | null,
  /** An archive alone answers, which no broker writes: there are no rates. */
  still: false,
  history: [] as LiveStatus[],
  matches: [] as Match[],
});

let started = false;
let losing: ReturnType<typeof setTimeout> | undefined;

/** Notes that the link broke, or that it is there again: then what was not answered meanwhile is asked once more. */
function linked(there: boolean): void {
  if (!there) {
    const since = Date.now();
    losing ??= setTimeout(() => (live.lost = since), LOST_MS);
    return;
  }
  clearTimeout(losing);
  losing = undefined;
  live.lost = null;
  setTimeout(() => (live.still = live.status === null), STILL_MS);
  askAgain();
}

const came = new Batch<Match>(SHOW_MS, (matches) => (live.matches = [...matches.reverse(), ...live.matches].slice(0, MATCHES)));

/** Begins to listen, once. */
export function listen(): void {
  if (started) return;
  started = true;
  follow(url('events', { status: 1 }), {
    onState(state, error) {
      live.link = state;
      live.error = state === 'open' ? null : (error ?? live.error);
      if (state === 'open' || state === 'waiting') linked(state === 'open');
    },
    onEvent(event, data) {
      if (event === 'status') {
        live.status = data;
        live.still = false;
        live.history = [...live.history.slice(1 - SPAN), data];
      } else if (event === 'match') {
        came.push(data);
      }
    },
  });
}
