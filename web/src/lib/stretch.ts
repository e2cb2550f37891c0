export type Stretch = 'asinh' | 'linear' | 'log';
export const STRETCHES: Stretch[] = ['asinh', 'linear', 'log'];

/** The values below which 1 and 99.7 of a hundred pixels lie; `null` when no pixel has a value. */
export function limits(pixels: Float32Array): [number, number] | null {
  const sorted = pixels.filter(Number.isFinite).sort();
  if (sorted.length === 0) return null;
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return [at(0.01), at(0.997)];
}

/** How bright a pixel is shown, 0 to 1. */
export function stretched(value: number, [low, high]: [number, number], stretch: Stretch): number {
  const share = high > low ? Math.max(0, Math.min(1, (value - low) / (high - low))) : 0.5;
  if (stretch === 'asinh') return Math.asinh(share * 10) / Math.asinh(10);
  if (stretch === 'log') return Math.log1p(share * 1000) / Math.log1p(1000);
  return share;
}

/** Pixels as grey RGBA, the last row first: FITS has its first row at the bottom. Pixels without a value are see-through. */
export function toRgba(pixels: Float32Array, width: number, height: number, stretch: Stretch, inverted: boolean): Uint8ClampedArray<ArrayBuffer> {
  const range = limits(pixels);
  const rgba = new Uint8ClampedArray(width * height * 4);
  if (!range) return rgba;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = pixels[row * width + column]!;
      if (!Number.isFinite(value)) continue;
      const grey = stretched(value, range, stretch) * 255;
      const at = ((height - 1 - row) * width + column) * 4;
      rgba.fill(inverted ? 255 - grey : grey, at, at + 3);
      rgba[at + 3] = 255;
    }
  }
  return rgba;
}

/** How an image is turned so that north is up and east left. */
export interface Turn {
  /** Upside down first: it is a mirror image of the sky. */
  mirrored: boolean;
  /** Then clockwise [deg]. */
  clockwise: number;
}

/** Of the directions of north and east in the image as it came [deg, from up to the left]. */
export function upright(north: number, east: number): Turn {
  const mirrored = (((east - north) % 360) + 360) % 360 > 180;
  return { mirrored, clockwise: mirrored ? 180 - north : north };
}

/** A round length for a scale bar that takes about a third of a width, both in the same unit. */
export function barLength(width: number): number {
  const wanted = width / 3;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return ([5, 2, 1].find((step) => step * power <= wanted) ?? 1) * power;
}
