import { onDestroy } from 'svelte';
import { ApiError } from './api';

/** What the broker did not answer, to be asked once more when it is back. */
const unanswered = new Map<object, () => void>();

/** Has something done when the broker is back, once. */
export function whenBack(key: object, run: () => void): void {
  unanswered.set(key, run);
}

/** Asks all that again. */
export function askAgain(): void {
  const all = [...unanswered.values()];
  unanswered.clear();
  for (const again of all) again();
}

/** An answer that is on its way, there, or an error; of a component, and gone with it. The last answer stays while the next is fetched. */
export class Answer<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | Error | null>(null);
  loading = $state(false);
  #running: AbortController | null = null;

  constructor() {
    onDestroy(() => this.clear());
  }

  /** Fetches; a fetch still under way is dropped. */
  async load(fetcher: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#running?.abort();
    unanswered.delete(this);
    const running = (this.#running = new AbortController());
    this.loading = true;
    try {
      const value = await fetcher(running.signal);
      if (running.signal.aborted) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (running.signal.aborted) return;
      this.error = error as Error;
      if (error instanceof ApiError && error.problem.code === 'unreachable') unanswered.set(this, () => void this.load(fetcher));
    }
    this.loading = false;
  }

  clear(): void {
    this.#running?.abort();
    unanswered.delete(this);
    this.value = null;
    this.error = null;
    this.loading = false;
  }
}

/** Runs something now and every so often while a page is shown and seen. Gives the end of it. */
export function every(ms: number, run: () => void): () => void {
  run();
  const timer = setInterval(() => document.visibilityState === 'visible' && run(), ms);
  return () => clearInterval(timer);
}
