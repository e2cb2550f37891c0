// Debian's Chromium, and a tab that notes everything that should not happen.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from '../../web/node_modules/playwright-core/index.mjs';
import { root } from './broker.mjs';

const AXE = readFileSync(join(root, 'web/node_modules/axe-core/axe.min.js'), 'utf8');
const PLACES = [process.env.PITT_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export const executable = PLACES.find((path) => path && existsSync(path));

export const launch = (...more) => chromium.launch({ executablePath: executable, args: ['--no-sandbox', '--disable-gpu', ...more] });

export const DESKTOP = { viewport: { width: 1366, height: 900 } };
export const PHONE = { viewport: { width: 360, height: 760 }, hasTouch: true, isMobile: true };

/** A tab at the broker's pages. `tab.wrong` lists console errors, requests to other hosts and answers that failed. */
export async function tab(browser, broker, options = {}, withToken = false) {
  const context = await browser.newContext({ ...DESKTOP, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(`error: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && !lacks(message.location().url) && page.wrong.push(`console: ${message.text()} ${message.location().url}`));
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(broker.url)) page.wrong.push(`other host: ${request.url()}`);
  });
  page.on('dialog', (dialog) => dialog.accept());
  page.at = async (path) => {
    await page.goto(broker.url + path);
    await page.locator('main h1').first().waitFor();
  };
  if (withToken) await page.goto(`${broker.url}/#token=${broker.token}`);
  return page;
}

/** Whether an answer 404 is no fault: some alerts came without images. */
const lacks = (url) => /\/api\/v1\/cutouts/.test(url);

/** What axe-core finds serious or critical on a page or in a frame as it stands (WCAG 2.1 A and AA, and its best practices). */
export async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter((one) => one.impact === 'serious' || one.impact === 'critical')
    .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? node.all[0]?.message ?? ''}`).join('; ')}`);
}

/** Shares of what an element looks like that have these colours, as near as images of them come. */
export async function shares(page, element, colours) {
  const picture = (await element.screenshot()).toString('base64');
  const reader = await page.context().newPage();
  const found = await reader.evaluate(
    async ([text, wanted]) => {
      const image = new Image();
      image.src = `data:image/png;base64,${text}`;
      await image.decode();
      const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, image.height);
      const counts = wanted.map(() => 0);
      for (let i = 0; i < data.length; i += 4) {
        const is = (colour) => colour.every((value, channel) => Math.abs(data[i + channel] - value) < 12);
        wanted.forEach((colour, which) => (counts[which] += Number(is(colour))));
      }
      return counts.map((count) => (4 * count) / data.length);
    },
    [picture, colours],
  );
  await reader.close();
  return found;
}
