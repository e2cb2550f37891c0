import type { Value } from './api';

const COUNT = new Intl.NumberFormat('en-GB');

/** `1,234,567` */
export const count = (n: number | null | undefined): string => (n == null ? '–' : COUNT.format(n));

/** A measured number, with four figures that count. */
export function figure(n: number | null | undefined, figures = 4): string {
  if (n == null || !Number.isFinite(n)) return '–';
  if (n === 0) return '0';
  const size = Math.abs(n);
  if (size >= 1e6 || size < 1e-3) return n.toExponential(figures - 1);
  const digits = Math.max(0, figures - 1 - Math.floor(Math.log10(size)));
  return n.toFixed(Math.min(digits, 6));
}

export const fixed = (n: number | null | undefined, digits: number): string => (n == null ? '–' : n.toFixed(digits));

/** `1.2 GB` */
export function bytes(n: number | null | undefined): string {
  if (n == null) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${n < 10 && i > 0 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/** Milliseconds, in the unit that reads well. */
export function duration(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return '–';
  if (ms < 1) {
    const us = ms * 1000;
    return `${us < 10 ? us.toFixed(us < 0.1 ? 2 : 1) : Math.round(us)} µs`;
  }
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

/** `2026-11-27 17:03:12` of microseconds since 1970, UTC. */
export const utc = (us: number | null | undefined): string =>
  us ? new Date(us / 1000).toISOString().slice(0, 19).replace('T', ' ') : '–';

const DAY_MS = 86_400_000;

/** `17:03:12` of the last hours, else with its day: `2026-11-25 17:03`. */
export function clock(us: number | null | undefined, now = Date.now()): string {
  if (!us) return '–';
  return Math.abs(now - us / 1000) < DAY_MS / 2 ? utc(us).slice(11) : utc(us).slice(0, 16);
}

/** `3 min ago` */
export function ago(us: number | null | undefined, now = Date.now()): string {
  if (!us) return 'never';
  const seconds = Math.max(0, Math.round(now / 1000 - us / 1e6));
  const [n, unit] = seconds < 90 ? [seconds, 's'] : seconds < 5400 ? [seconds / 60, 'min'] : seconds < 129_600 ? [seconds / 3600, 'h'] : [seconds / 86_400, 'days'];
  return `${Math.round(n as number)} ${unit} ago`;
}

/** `2026-11-27` of `20261127` */
export function night(value: string | number | null | undefined): string {
  const text = String(value ?? '');
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text || '–';
}

/** Whether a night is that of now, or of a time to come as a simulated one: else it is history that is being read. */
export function isRecent(value: string | number, now = Date.now()): boolean {
  const begun = Date.parse(night(value));
  return Number.isFinite(begun) && now - begun < 2.5 * DAY_MS;
}

const LEAP_AND_TAI_S = 37;

/** UTC of a TAI date, for pictures and lists: right from 2017 on, and to seconds before. */
export const mjdToDate = (mjdTai: number): Date => new Date((mjdTai - 40_587) * 86_400_000 - LEAP_AND_TAI_S * 1000);

/** A value of a table, for people. */
export function shown(value: Value | object | undefined): string {
  if (value === null || value === undefined) return '';
  // Fifteen figures: a Julian date keeps its milliseconds, and sums show no rounding of theirs.
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(15)));
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

/** Decimals that a step needs to be told from the next. */
export function decimals(step: number): number {
  for (let n = 0; n < 9; n++) {
    const whole = step * 10 ** n;
    if (Math.abs(whole - Math.round(whole)) < 1e-4 * whole) return n;
  }
  return 9;
}

/** Numbers along an axis, each with as many decimals as the step between them needs. */
export function tickTexts(ticks: readonly number[]): string[] {
  const step = Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0)) || 1;
  const large = Math.max(...ticks.map(Math.abs)) >= 1e7;
  return ticks.map((tick) => (large && tick ? Number(tick.toPrecision(6)).toExponential().replace('e+', 'e') : tick.toFixed(large ? 0 : decimals(step))));
}
