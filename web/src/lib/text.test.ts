import { expect, it } from 'vitest';
import { BANDS, bandSymbol, folded, negatives, points } from './bands';
import { diff } from './diff';
import { ago, bytes, clock, decimals, duration, figure, isRecent, mjdToDate, night, shown, tickTexts } from './format';
import { pageOf } from './pages';
import { utcTexts, utcTicks } from './utcaxis';
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

it('shows every figure of a time that counts, and no rounding of sums', () => {
  expect(shown(2459004.7559838)).toBe('2459004.7559838');
  expect(shown(60924.33268375296)).toBe('60924.332683753');
  expect([shown(0.1 + 0.2), shown(19.769314), shown(-1)]).toEqual(['0.3', '19.769314', '-1']);
});

it('writes ticks so that each can be told from the next', () => {
  expect([1, 0.05, 0.25, 0.0002, 50].map(decimals)).toEqual([0, 2, 2, 4, 0]);
  expect(tickTexts([60924.3305, 60924.331, 60924.3315])).toEqual(['60924.3305', '60924.3310', '60924.3315']);
  expect(tickTexts([-200000, -100000, 0])).toEqual(['-200000', '-100000', '0']);
  expect(tickTexts([20.1, 20.15])).toEqual(['20.10', '20.15']);
  expect(tickTexts([0, 5e6, 1e7])).toEqual(['0', '5e6', '1e7']);
  expect(tickTexts([1e7, 1.5e7])).toEqual(['1e7', '1.5e7']);
});

it('puts dates where UTC is round, from seconds to years', () => {
  const minutes = utcTicks(60924.3304, 60924.3327, 5);
  expect(utcTexts(minutes)).toEqual(['09-06 07:56', '09-06 07:57', '09-06 07:58']);
  expect((minutes[0]! - 60924) * 86_400).toBeCloseTo(7 * 3600 + 56 * 60 + 37, 3);
  expect(utcTexts(utcTicks(60924.33041, 60924.33046, 6))).toEqual(['07:55:11', '07:55:12', '07:55:13', '07:55:14']);
  expect(utcTexts(utcTicks(58000, 60000, 5))).toEqual(['2017-09-04', '2019-01-17', '2020-05-31', '2021-10-13']);
});

it('tells the day of what was not today, and tonight from a night of years ago', () => {
  const now = Date.UTC(2026, 10, 27, 22);
  expect(clock(Date.UTC(2026, 10, 27, 17, 3, 12) * 1000, now)).toBe('17:03:12');
  expect(clock(Date.UTC(2026, 10, 25, 17, 3, 12) * 1000, now)).toBe('2026-11-25 17:03');
  expect([20261127, 20261126, 20300524, 20171218].map((one) => isRecent(one, now))).toEqual([true, true, true, false]);
});

it('tells bands apart by shape, not by colour alone', () => {
  expect(new Set(BANDS.map((band) => JSON.stringify(bandSymbol(band)))).size).toBe(6);
});

it('draws no magnitude of a negative flux and no flux of a limit', () => {
  const rows = [
    { kind: 'detection', band: 'g', mjd_tai: 2, mag: null, psf_flux: -5, psf_flux_err: 1 },
    { kind: 'limit', band: 'g', mjd_tai: 1, limit_mag: 20.5, psf_flux: null },
    { kind: 'detection', band: 'r', mjd_tai: 3, mag: 18, mag_err: 0.1, psf_flux: 9, psf_flux_err: 1 },
  ];
  expect(points(rows, 'mag').map((point) => [point.kind, point.y])).toEqual([['limit', 20.5], ['detection', 18]]);
  expect(points(rows, 'flux').map((point) => point.y)).toEqual([-5, 9]);
  expect(negatives(rows)).toBe(1);
  const faint = [2, -2].map((flux) => ({ kind: 'forced', band: 'g', mjd_tai: 1, mag: flux > 0 ? 30.6 : null, mag_err: 95, psf_flux: flux, psf_flux_err: 1 }));
  expect(points(faint, 'mag').map((point) => [point.kind, point.y, point.err])).toEqual(Array(2).fill(['limit', expect.closeTo(29.6526, 4), null]));
  expect(folded(points(rows, 'mag'), 0.75).map((point) => point.mjd)).toEqual([0, expect.closeTo(2 / 3), 1, expect.closeTo(5 / 3)]);
});

it('finds the page of a path, also of ids with signs in them', () => {
  expect(pageOf('/object/a%2Fb%3Cc').props).toEqual({ id: 'a/b<c' });
  expect(pageOf('/object/%E0%A4').props).toEqual({ id: '%E0%A4' });
  expect(pageOf('/x/y').title).toBe('Nothing here');
});
