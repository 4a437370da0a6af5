import { defineConfig, type Options } from 'tsup'
import { keepConstants } from './tools/chunk-constants.ts'
import { inlineConstants } from './tools/constants.ts'
import { withoutSources } from './tools/source-maps.ts'

const toolEntries = [
  'test/check.ts',
  'test/conformance/main.ts',
  'test/conformance/driver-reports.ts',
  'test/mutants/main.ts',
  'test/mutation/runner.ts',
  'test/mutation/table.ts',
  'test/browser/page.ts',
  'test/browser/screenshot.ts',
  'docs/examples/*.ts',
  'tools/pages.ts',
  'tools/finish-build.ts',
]

const tools: Options = {
  outDir: 'build',
  tsconfig: 'tsconfig.tools.json',
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  splitting: false,
  sourcemap: true,
  // Not cleaned: the running check program must survive a build that fails.
  clean: false,
  // The package refers to itself by name, so the tools use the built library.
  external: [/^vgic(\/|$)/, 'esbuild', 'playwright-core', 'tsup', 'typescript', /^@stryker-mutator\//],
  esbuildOptions(options) {
    options.outbase = '.'
  },
}

/** Of hot code: the library's, and that of a benchmark's guests and host. */
const hot: Options = { esbuildPlugins: [inlineConstants], plugins: [keepConstants] }

export default defineConfig([
  {
    name: 'library',
    entry: [
      'src/index.ts',
      'src/scenario.ts',
      'src/explore.ts',
      'src/workers.ts',
      'src/worker.ts',
      'src/testing.ts',
      'src/bench.ts',
    ],
    external: ['piscina', 'fast-check'],
    outDir: 'dist',
    format: ['esm', 'cjs'],
    target: 'es2022',
    platform: 'neutral',
    // Shared chunks in both formats: a class has one identity, whichever entry point it comes through.
    splitting: true,
    // Has rollup write the CJS chunks. Without it sucrase does, which lowers class fields, `?.` and `??`
    // whatever the target, and runs static blocks before static fields.
    treeshake: true,
    dts: true,
    sourcemap: true,
    clean: true,
    ...hot,
    onSuccess: async () => withoutSources('dist'),
    esbuildOptions(options) {
      // Inlines numeric constants across modules; names and whitespace stay readable.
      options.minifySyntax = true
    },
  },
  {
    // The package's command, beside the library that it imports by name, and what it starts to measure in.
    ...hot,
    name: 'command',
    entry: { vgic: 'command/main.ts', worker: 'bench/worker.ts' },
    outDir: 'bin',
    tsconfig: 'tsconfig.tools.json',
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    splitting: false,
    clean: true,
    external: [/^vgic(\/|$)/],
  },
  { ...tools, name: 'tools', entry: toolEntries },
  {
    ...tools,
    ...hot,
    name: 'bench',
    entry: ['bench/main.ts', 'bench/worker.ts'],
  },
])
