import { mjdToDate } from './format';

const SECOND = 1 / 86_400;
/** Steps between dates [d], and where UTC's midnights are on an axis that is TAI. */
const STEPS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 43_200].map((seconds) => seconds * SECOND).concat([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]);
const SHIFT = 37 * SECOND;

/** Dates round in UTC between two dates [d, TAI], `most` of them at most. */
export function utcTicks(low: number, high: number, most: number): number[] {
  const step = STEPS.find((one) => (high - low) / one <= most) ?? STEPS[STEPS.length - 1]!;
  const first = Math.ceil((low - SHIFT) / step) * step + SHIFT;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / step) + 1) }, (_, i) => first + i * step);
}

/** What stands at them: the day, and the time where they lie closer. */
export function utcTexts(ticks: readonly number[]): string[] {
  const step = ticks.length > 1 ? ticks[1]! - ticks[0]! : 60 * SECOND;
  return ticks.map((tick) => {
    const text = mjdToDate(tick + SECOND / 10).toISOString();
    if (step > 0.99) return text.slice(0, 10);
    return step < 59 * SECOND ? text.slice(11, 19) : text.slice(5, 16).replace('T', ' ');
  });
}
