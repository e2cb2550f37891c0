import { expect, it } from 'vitest';
import { toldOf, viewOf } from './skyview';

const marker = { id: 'ZTF18abudxnw', ra: 10, dec: -5, kind: 'self' };
const view = { say: 'show', survey: 'dss2', ra: 10, dec: -5, fov: 0.04, dark: true, markers: [marker] };

it('what a page asks for is shown', () => {
  expect(viewOf(view)).toEqual(view);
  expect(viewOf({ ...view, markers: [] })?.markers).toEqual([]);
});

it('what is not whole, finite or on the sky is not', () => {
  const wrong = [
    null,
    'show',
    { ...view, say: 'shown' },
    { ...view, ra: NaN },
    { ...view, ra: '10' },
    { ...view, dec: 91 },
    { ...view, dec: undefined },
    { ...view, fov: 0 },
    { ...view, fov: Infinity },
    { ...view, dark: 1 },
    { ...view, survey: ['dss2'] },
    { ...view, markers: { length: 0 } },
    { ...view, markers: [null] },
    { ...view, markers: [{ ...marker, ra: -Infinity }] },
    { ...view, markers: [{ ...marker, kind: 'constructor' }] },
    { ...view, markers: [{ ...marker, id: 'x'.repeat(201) }] },
    { ...view, markers: Array(2001).fill(marker) },
  ];
  for (const one of wrong) expect(viewOf(one), JSON.stringify(one)?.slice(0, 100)).toBeNull();
});

it('of the viewer only four things are believed', () => {
  const good = [{ say: 'ready' }, { say: 'shown', ra: 0, dec: 90 }, { say: 'failed', why: 'script' }, { say: 'picked', id: 'a' }];
  for (const one of good) expect(toldOf(one)).toBe(one);
  const wrong = [undefined, {}, { say: 'shown', ra: NaN, dec: 0 }, { say: 'shown' }, { say: 'failed', why: 'toString' }, { say: 'picked', id: 7 }, { say: 'show' }];
  for (const one of wrong) expect(toldOf(one)).toBeNull();
});
