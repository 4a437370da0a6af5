import { defineConfig, type Options } from 'tsup'

/**
 * Rows are in files that use their generated constants. These need not exist yet when they are generated: they read
 * as undefined.
 */
const withoutGenerated: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'without generated modules',
  setup(build) {
    const filter = /-(offsets|bits|numbers|dispatch)\.ts$/
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: 'generated' }))
    build.onLoad({ filter, namespace: 'generated' }, () => ({ contents: 'module.exports = {}' }))
  },
}

export default defineConfig({
  entry: ['tools/generate.ts'],
  outDir: 'build/tools',
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  clean: false,
  silent: true,
  esbuildPlugins: [withoutGenerated],
})
