import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BUILT_SOURCES, builtSources } from './tools/built-sources.ts'

const src = (file: string): string => fileURLToPath(new URL(`./src/${file}`, import.meta.url))

export default defineConfig({
  plugins: [builtSources()],
  resolve: {
    alias: [
      { find: /^vgic$/, replacement: src('index.ts') },
      { find: /^vgic\/scenario$/, replacement: src('scenario.ts') },
      { find: /^vgic\/explore$/, replacement: src('explore.ts') },
      { find: /^vgic\/workers$/, replacement: src('workers.ts') },
      { find: /^vgic\/testing$/, replacement: src('testing.ts') },
      { find: /^vgic\/bench$/, replacement: src('bench.ts') },
    ],
  },
  test: {
    include: ['test/{unit,property}/**/*.test.ts'],
    setupFiles: ['test/property-seed.ts'],
    // How long a test takes says nothing of the code: work is bounded by counts. No timeout could end a test that
    // hangs, as none of them gives way; CI's own limit does.
    testTimeout: 0,
    hookTimeout: 0,
    // Modules hold no state that a test could leave behind: loading them anew for each file only takes time.
    isolate: false,
    // vitest leaves a core to its own process, which has nothing to do.
    maxWorkers: '100%',
    server: { deps: { external: [new RegExp(BUILT_SOURCES)] } },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'json-summary'],
    },
  },
})
