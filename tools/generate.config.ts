import { defineConfig, type Options } from 'tsup'

/** Rows stand beside code that uses their constants. To write those, none need be there: they read as undefined. */
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
