import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const KEPT = readFileSync(new URL('dist/.gitignore', import.meta.url));

/** Writes `file.gz` beside every file of the build: the program embeds those and serves them as they are. The folder is kept in git. */
function compressed(): Plugin {
  let folder = 'dist';
  return {
    name: 'compressed',
    apply: 'build',
    configResolved: (config) => void (folder = config.build.outDir),
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || /\.gz$|^\.git/.test(entry.name)) continue;
        const path = join(entry.parentPath ?? entry.path, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
      writeFileSync(join(folder, '.gitignore'), KEPT);
    },
  };
}

/** Also where pages are worked on, the viewer of survey images is at `/sky`, and of an origin that is none. */
function viewer(): Plugin {
  return {
    name: 'viewer',
    config: () => ({ server: { cors: { origin: 'null' } } }),
    configureServer: ({ middlewares }) =>
      void middlewares.use((request, _, next) => {
        if (request.url === '/sky') request.url = '/sky.html';
        next();
      }),
  };
}

// `npm run dev` shows the pages with live reload; questions go to the broker at PITT_URL.
const broker = process.env['PITT_URL'] ?? 'http://127.0.0.1:8080';

// The viewer of survey images is built by itself (`--mode sky`): its document, of another origin, may have no file of the pages.
export default defineConfig(({ mode }) => ({
  plugins: [svelte(), compressed(), viewer()],
  build: {
    ...(mode === 'sky' && { emptyOutDir: false, rollupOptions: { input: { 'sky-frame': 'sky.html' } } }),
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: Object.fromEntries(['/api', '/status.json', '/healthz', '/metrics'].map((path) => [path, broker])) },
  test: { include: ['src/**/*.test.ts'] },
}));
