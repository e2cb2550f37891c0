import { ask, ApiError } from './api';
import { parseJson } from './json';

export interface SseEvent {
  event: string;
  id: string | null;
  data: string;
}

/** Takes the text of an event stream in pieces, cut anywhere, and gives the events that are whole. */
export class SseParser {
  #rest = '';
  #event = '';
  #id: string | null = null;
  #data: string[] = [];

  push(chunk: string): SseEvent[] {
    const events: SseEvent[] = [];
    const text = this.#rest + chunk;
    // A carriage return at the end may be half a line end.
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? '') + text.slice(end);
    for (const line of lines) {
      if (line === '') this.#finish(events);
      else if (!line.startsWith(':')) this.#field(line);
    }
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
  }

  #finish(events: SseEvent[]): void {
    if (this.#data.length) events.push({ event: this.#event || 'message', id: this.#id, data: this.#data.join('\n') });
    this.#event = '';
    this.#id = null;
    this.#data = [];
  }
}

export type LinkState = 'connecting' | 'open' | 'waiting' | 'closed';

export interface Follower {
  /** An event with its parsed data. */
  onEvent(event: string, data: any, id: string | null): void;
  onState?(state: LinkState, error?: ApiError): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** The server sends a comment each 15 s: silence for longer means that the connection is dead. */
const SILENCE_MS = 40_000;

/**
 * Follows an event stream by fetch (an EventSource cannot carry a token), and goes on after the last event seen when the
 * connection breaks. Gives a function that ends it and returns the last id.
 */
export function follow(address: string, follower: Follower, after: string | null = null): () => string | null {
  const end = new AbortController();
  let last = after;
  void run();
  return () => {
    end.abort();
    return last;
  };

  async function run(): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!end.signal.aborted) {
      try {
        follower.onState?.('connecting');
        await connection(() => (wait = FIRST_WAIT_MS));
        if (!end.signal.aborted) follower.onState?.('waiting');
      } catch (error) {
        if (end.signal.aborted) return;
        // What is not there does not come by asking again.
        const gone = error instanceof ApiError && error.problem.status === 404;
        follower.onState?.(gone ? 'closed' : 'waiting', error instanceof ApiError ? error : undefined);
        if (gone) return;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  async function connection(opened: () => void): Promise<void> {
    const cut = new AbortController();
    const abort = (): void => cut.abort();
    end.signal.addEventListener('abort', abort);
    let silence = setTimeout(abort, SILENCE_MS);
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream' };
      if (last !== null) headers['last-event-id'] = last;
      const response = await ask(address, { headers, signal: cut.signal, cache: 'no-store' });
      follower.onState?.('open');
      opened();
      const parser = new SseParser();
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(abort, SILENCE_MS);
        for (const event of parser.push(value)) {
          if (end.signal.aborted) return;
          if (event.id !== null) last = event.id;
          follower.onEvent(event.event, parseJson(event.data), event.id);
        }
      }
    } finally {
      clearTimeout(silence);
      end.signal.removeEventListener('abort', abort);
    }
  }
}
