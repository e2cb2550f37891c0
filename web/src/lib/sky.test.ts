import { expect, it } from 'vitest';
import { fromEcliptic, fromGalactic, fromMollweide, healpix, hms, mollweide, offsets, separation, toEcliptic, toGalactic } from './sky';

it('knows the galactic centre and pole', () => {
  // ESA SP-1200, volume 1, section 1.5.3: pole at 192.85948, +27.12825; centre at 266.40510, -28.93617.
  const pole = toGalactic({ lon: 192.85948, lat: 27.12825 });
  expect(pole.lat).toBeCloseTo(90, 3);
  const centre = fromGalactic({ lon: 0, lat: 0 });
  expect(centre.lon).toBeCloseTo(266.4051, 3);
  expect(centre.lat).toBeCloseTo(-28.93617, 3);
});

it('knows the ecliptic pole', () => {
  expect(toEcliptic({ lon: 270, lat: 66.5607 }).lat).toBeCloseTo(90, 3);
  const there = fromEcliptic(toEcliptic({ lon: 10, lat: 20 }));
  expect([there.lon, there.lat]).toEqual([expect.closeTo(10, 9), expect.closeTo(20, 9)]);
});

it('projects there and back, and knows what is outside', () => {
  for (let lon = 1; lon < 360; lon += 17) {
    for (let lat = -89; lat < 90; lat += 11) {
      const { x, y } = mollweide({ lon, lat }, 180);
      const back = fromMollweide(x, y, 180)!;
      expect(separation(back, { lon, lat })).toBeLessThan(1e-6);
    }
  }
  expect(mollweide({ lon: 90, lat: 0 }).x).toBeCloseTo(-1, 12);
  expect(mollweide({ lon: 0, lat: 90 })).toEqual({ x: 0, y: 1 });
  expect(fromMollweide(1.9, 0.9)).toBeNull();
});

it('has every cell of the sky once, each as large as the others', () => {
  // Equal areas: points spread evenly over the sphere fall evenly into the cells.
  const order = 2;
  const counts = new Map<number, number>();
  const n = 192_000;
  for (let i = 0; i < n; i++) {
    const place = { lon: (i * 137.50776405003785) % 360, lat: (Math.asin(1 - (2 * i + 1) / n) * 180) / Math.PI };
    const cell = healpix(order, place);
    counts.set(cell, (counts.get(cell) ?? 0) + 1);
  }
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 192 }, (_, i) => i));
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(60);
});

it('is nested: a cell holds its four children', () => {
  for (let i = 0; i < 2000; i++) {
    const place = { lon: (i * 47.3) % 360, lat: -90 + ((i * 7.77) % 180) };
    expect(healpix(5, place)).toBe(healpix(6, place) >> 2);
  }
});

it('has the cells that cdshealpix gives', () => {
  // `pitt query "SELECT ra, dec, _healpix_29 >> 48 FROM alerts"` over a simulated night.
  const cells: [number, number, number][] = [
    [48.544142, -29.701011, 8985],
    [47.714676, -27.460445, 8987],
    [47.484679, -24.497854, 9014],
    [51.079206, -22.136853, 9057],
    [39.596114, -18.98418, 9116],
    [31.605425, 3.650328, 4472],
    [32.387847, 9.644043, 4565],
    [46.633499, 15.191068, 54],
    [45.426465, 19.8008, 106],
    [46.281368, 26.863865, 205],
  ];
  for (const [lon, lat, cell] of cells) expect(healpix(5, { lon, lat })).toBe(cell);
});

it('writes sexagesimal without a sixtieth second', () => {
  expect(hms(155.125, -4.085)).toBe('10:20:30.00 -04:05:06.0');
  expect(hms(359.99999999, -0.00000001)).toBe('00:00:00.00 -00:00:00.0');
  expect(hms(14.99999999, 9.99999999)).toBe('01:00:00.00 +10:00:00.0');
});

it('measures small offsets east and north in arcsec', () => {
  const { east, north } = offsets({ lon: 150 + 10 / 3600 / Math.cos(Math.PI / 3), lat: 60 + 5 / 3600 }, { lon: 150, lat: 60 });
  expect(east).toBeCloseTo(10, 2);
  expect(north).toBeCloseTo(5, 2);
});
