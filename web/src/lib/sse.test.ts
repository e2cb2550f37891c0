import { afterEach, describe, expect, it, vi } from 'vitest';
import { follow, SseParser } from './sse';

const TEXT = ': hello\n\nevent: match\nid: a1\ndata: {"n":\ndata: 1}\n\ndata: plain\r\n\r\nevent: status\rdata:x\r\rid: 9\n\n';

describe('the parser of event streams', () => {
  it('gives the same events however the text is cut', () => {
    const whole = new SseParser().push(TEXT);
    expect(whole).toEqual([
      { event: 'match', id: 'a1', data: '{"n":\n1}' },
      { event: 'message', id: null, data: 'plain' },
      { event: 'status', id: null, data: 'x' },
    ]);
    for (let size = 1; size < 20; size++) {
      const parser = new SseParser();
      const pieces = Array.from({ length: Math.ceil(TEXT.length / size) }, (_, i) => TEXT.slice(i * size, (i + 1) * size));
      expect(pieces.flatMap((piece) => parser.push(piece))).toEqual(whole);
    }
  });

  it('holds an event back until its empty line has come', () => {
    const parser = new SseParser();
    expect(parser.push('data: half')).toEqual([]);
    expect(parser.push('\n')).toEqual([]);
    expect(parser.push('\n')).toHaveLength(1);
  });
});

describe('following', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('goes on after the last event seen when the connection breaks', async () => {
    vi.stubGlobal('sessionStorage', { getItem: () => null });
    vi.stubGlobal('localStorage', { getItem: () => null });
    const asked: (string | null)[] = [];
    const answers = ['event: match\nid: 7\ndata: {"alert_id": 3527242430321524769}\n\nevent: status\ndata: {}\n\n', 'event: match\nid: 8\ndata: {}\n\n'];
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      asked.push(new Headers(init.headers).get('last-event-id'));
      const text = answers.shift();
      if (text === undefined) return new Promise(() => {});
      return new Response(text, { status: 200 });
    });
    const seen: [string, any][] = [];
    const end = follow('/events', { onEvent: (event, data) => seen.push([event, data]) }, '6');
    await vi.waitFor(() => expect(asked).toEqual(['6', '7', '8']), { timeout: 5000 });
    expect(end()).toBe('8');
    expect(seen.map(([event]) => event)).toEqual(['match', 'status', 'match']);
    expect(seen[0]![1].alert_id).toBe('3527242430321524769');
  });
});
