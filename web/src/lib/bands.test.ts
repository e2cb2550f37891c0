import { expect, it } from 'vitest';
import { negatives, points, unitOf } from './bands';

const detection = (psf_flux: number, psf_flux_err = 10) => ({
  kind: 'detection', band: 'g', mjd_tai: 61_000, psf_flux, psf_flux_err,
  mag: psf_flux > 0 ? 31.4 - 2.5 * Math.log10(psf_flux) : null, mag_err: psf_flux > 0 ? (1.0857 * psf_flux_err) / psf_flux : null,
});
const limit = { kind: 'limit', band: 'g', mjd_tai: 61_001, psf_flux: null, psf_flux_err: null, mag: null, limit_mag: 20.5 };

it('has no magnitude of a negative flux, and a limit of one that is not significant', () => {
  const rows = [detection(1000), detection(-1000), detection(20), detection(-20), limit];
  expect(points(rows, 'mag').map((point) => point.kind)).toEqual(['detection', 'limit', 'limit', 'limit']);
  expect(points(rows, 'flux').map((point) => point.y)).toEqual([1000, -1000, 20, -20]);
  expect(points([detection(20)], 'mag')[0]!.y).toBeCloseTo(31.4 - 2.5 * Math.log10(50), 12);
  expect(negatives(rows)).toBe(1);
});

it('is told in magnitudes, but of what is always fainter than the template in flux', () => {
  expect(unitOf([detection(1000), detection(-1000)])).toBe('mag');
  expect(unitOf([detection(-1000), limit])).toBe('flux');
  expect(unitOf([limit])).toBe('mag');
  expect(unitOf([])).toBe('mag');
});
