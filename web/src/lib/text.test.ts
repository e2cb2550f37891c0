import { expect, it } from 'vitest';
import { folded, points } from './bands';
import { diff } from './diff';
import { ago, bytes, duration, figure, mjdToDate, night } from './format';
import { pageOf } from './pages';
import { completions, pieces, wordBefore } from './sqltext';

it('colours SQL without losing a character', () => {
  const text = "-- title: x\nSELECT \"a b\", 'it''s' FROM alerts WHERE rise_rate ('g') > -0.3e-2 AND x'";
  expect(pieces(text).map((piece) => piece.text).join('')).toBe(text);
  const kinds = Object.fromEntries(pieces(text).map((piece) => [piece.text, piece.kind]));
  expect(kinds).toMatchObject({ SELECT: 'keyword', "'it''s'": 'string', rise_rate: 'function', alerts: 'name', '-- title: x': 'comment' });
});

it('completes names by their beginning first, and nothing in comments or strings', () => {
  const names = ['candidate.magpsf', 'mag', 'peak_mag', 'ra'].map((label) => ({ label, kind: 'column' }));
  expect(completions(names, 'mag').map((name) => name.label)).toEqual(['mag', 'peak_mag', 'candidate.magpsf']);
  expect(wordBefore('WHERE candidate.ma', 18)).toBe('candidate.ma');
  expect(wordBefore('-- ra', 5)).toBe('');
  expect(wordBefore("rise_rate('g", 12)).toBe('');
});

it('tells what went and what came', () => {
  expect(diff('a\nb\nc', 'a\nx\nc').map((line) => line.sign + line.text)).toEqual([' a', '-b', '+x', ' c']);
  expect(diff('a', 'a')).toEqual([{ sign: ' ', text: 'a' }]);
});

it('writes numbers, sizes and times for people', () => {
  expect([figure(201.34), figure(0), figure(null), figure(1.5e9, 3)]).toEqual(['201.3', '0', '–', '1.50e+9']);
  expect([bytes(999), bytes(61234), bytes(3.4e9)]).toEqual(['999 B', '61 kB', '3.4 GB']);
  expect([duration(0.4), duration(7.2), duration(1500), duration(null)]).toEqual(['400 µs', '7.2 ms', '1.5 s', '–']);
  expect(night(20261127)).toBe('2026-11-27');
  expect(ago(1e6, 61_000)).toBe('60 s ago');
  expect(mjdToDate(51544.5).toISOString()).toBe('2000-01-01T11:59:23.000Z');
});

it('draws no magnitude of a negative flux and no flux of a limit', () => {
  const rows = [
    { kind: 'detection', band: 'g', mjd_tai: 2, mag: null, psf_flux: -5, psf_flux_err: 1 },
    { kind: 'limit', band: 'g', mjd_tai: 1, limit_mag: 20.5, psf_flux: null },
    { kind: 'detection', band: 'r', mjd_tai: 3, mag: 18, mag_err: 0.1, psf_flux: 9, psf_flux_err: 1 },
  ];
  expect(points(rows, 'mag').map((point) => [point.kind, point.y])).toEqual([['limit', 20.5], ['detection', 18]]);
  expect(points(rows, 'flux').map((point) => point.y)).toEqual([-5, 9]);
  expect(folded(points(rows, 'mag'), 0.75).map((point) => point.mjd)).toEqual([0, expect.closeTo(2 / 3), 1, expect.closeTo(5 / 3)]);
});

it('finds the page of a path, also of ids with signs in them', () => {
  expect(pageOf('/object/a%2Fb%3Cc').props).toEqual({ id: 'a/b<c' });
  expect(pageOf('/object/%E0%A4').props).toEqual({ id: '%E0%A4' });
  expect(pageOf('/x/y').title).toBe('Nothing here');
});
