import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const src = (file: string): string => fileURLToPath(new URL(`./src/${file}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^vgic$/, replacement: src('index.ts') },
      { find: /^vgic\/scenario$/, replacement: src('scenario.ts') },
      { find: /^vgic\/explore$/, replacement: src('explore.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    // Properties over many random runs, on a machine that is busy with something else.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'json-summary'],
    },
  },
})
