import { expect, it } from 'vitest';
import { SURVEYS, surveysAt, usualSurvey } from './surveys';

const at = (lon: number, lat: number): string[] => surveysAt({ lon, lat }).map((one) => one.id);

it('a place is offered what has seen it', () => {
  expect(at(150.1, 2.2)).toEqual(['panstarrs', 'legacy', 'skymapper', 'dss2', '2mass']);
  // M81, a field north of SkyMapper; the Galactic centre; the Large Magellanic Cloud.
  expect(at(148.888, 69.065)).toEqual(['panstarrs', 'legacy', 'dss2', '2mass']);
  expect(at(266.417, -29.008)).toEqual(['panstarrs', 'skymapper', 'dss2', '2mass']);
  expect(at(80.894, -69.756)).toEqual(['legacy', 'skymapper', 'dss2', '2mass']);
});

it('the first is PanSTARRS where that is, SkyMapper in the far south, or what is wished for if it has the place', () => {
  expect(usualSurvey({ lon: 10, lat: -29.9 }).id).toBe('panstarrs');
  expect(usualSurvey({ lon: 10, lat: -30.1 }).id).toBe('skymapper');
  expect(usualSurvey({ lon: 148.888, lat: 69.065 }, 'dss2').id).toBe('dss2');
  expect(usualSurvey({ lon: 148.888, lat: 69.065 }, 'skymapper').id).toBe('panstarrs');
  expect(usualSurvey({ lon: 0, lat: 0 }, 'no such survey').id).toBe('panstarrs');
});

it('all images are at CDS, under names of their own', () => {
  for (const { url } of SURVEYS) expect(url).toMatch(/^https:\/\/alasky\.cds\.unistra\.fr\/[^?#]+[^/]$/);
  expect(new Set(SURVEYS.map((one) => one.id)).size).toBe(SURVEYS.length);
});
