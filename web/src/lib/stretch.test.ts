import { expect, it } from 'vitest';
import { barLength, limits, STRETCHES, stretched, toRgba, upright } from './stretch';

it('runs from black to white and never turns back, whatever the stretch', () => {
  for (const stretch of STRETCHES) {
    expect(stretched(10, [10, 20], stretch)).toBe(0);
    expect(stretched(20, [10, 20], stretch)).toBeCloseTo(1, 12);
    const steps = Array.from({ length: 50 }, (_, i) => stretched(10 + i / 5, [10, 20], stretch));
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
  }
});

it('puts the first row of the image at the bottom, and leaves pixels without a value see-through', () => {
  const rgba = toRgba(new Float32Array([0, 0, NaN, 1]), 2, 2, 'linear', false);
  const alpha = [3, 7, 11, 15].map((i) => rgba[i]);
  expect(alpha).toEqual([0, 255, 255, 255]);
  expect([rgba[4], rgba[8], rgba[12]]).toEqual([255, 0, 0]);
});

it('is not blinded by one hot pixel, nor stopped by an image without values', () => {
  const pixels = Float32Array.from({ length: 1000 }, (_, i) => i);
  pixels[500] = 1e9;
  expect(limits(pixels)![1]).toBeLessThan(1000);
  expect(limits(new Float32Array([NaN, NaN]))).toBeNull();
});

it('turns images so that north is up and east left, mirror images too', () => {
  expect(upright(180, 90)).toEqual({ mirrored: true, clockwise: 0 });
  expect(upright(36.7, 126.7)).toEqual({ mirrored: false, clockwise: 36.7 });
  expect(upright(-155.981, -65.981)).toEqual({ mirrored: false, clockwise: -155.981 });
});

it('draws scale bars of round lengths', () => {
  expect([63, 6.3, 12, 240].map(barLength)).toEqual([20, 2, 2, 50]);
});
