import { get } from './api';

/** What the settings let pages offer. */
export const offers = $state({ skyImages: false });
let asked = false;

/** Asks for it, once. */
export function learnOffers(): void {
  if (asked) return;
  asked = true;
  get('me').then(
    (me) => (offers.skyImages = me.sky_images === true),
    () => (asked = false),
  );
}
