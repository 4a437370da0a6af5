import { readFile } from 'node:fs/promises'
import { defineConfig, type Options } from 'tsup'

/**
 * Word offsets and masks are literals that hot code must not look up. esbuild inlines a constant across modules
 * only out of a module that has nothing but constants and imports nothing. So that a block can keep its
 * constants in its own file, this gives each file's literal constants a module of their own, which the file
 * imports and exports again. Lines stay where they are.
 */
const inlineConstants: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'inline constants',
  setup(build) {
    const literal = /^(export )?const (\w+) = (?:-?0x[\da-f_]+|-?\d+)(?: \| 0)?$/gim
    build.onResolve({ filter: /\?constants$/ }, ({ path }) => ({ path, namespace: 'constants' }))
    build.onLoad({ filter: /./, namespace: 'constants' }, async ({ path }) => {
      const source = await readFile(path.replace(/\?constants$/, ''), 'utf8')
      const constants = [...source.matchAll(literal)].map(([line, exported]) =>
        exported ? line : `export ${line}`,
      )
      return { contents: constants.join('\n'), loader: 'ts' }
    })
    build.onLoad({ filter: /\/src\/.*\.ts$/, namespace: 'file' }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const constants = [...source.matchAll(literal)]
      const from = `from ${JSON.stringify(`${path}?constants`)};`
      const names = (of: typeof constants): string => of.map(([, , name]) => name).join()
      const exported = names(constants.filter(([, isExported]) => isExported))
      const head =
        constants.length === 0 ? '' : `import {${names(constants)}} ${from}export {${exported}} ${from}`
      return { contents: head + source.replaceAll(literal, ''), loader: 'ts' }
    })
  },
}

/**
 * esbuild writes the declarations of a bundle's top level as `var`. As `const` V8 knows that they never change, and
 * a call to a function among them needs no check that it still is the function that was inlined.
 */
const keepConstants: NonNullable<Options['plugins']>[number] = {
  name: 'keep constants',
  renderChunk: (code, { map }) => ({ code: code.replaceAll(/^var (?=\w+ =)/gm, 'const '), map: map ?? null }),
}

export default defineConfig([
  {
    name: 'library',
    entry: ['src/index.ts', 'src/scenario.ts', 'src/explore.ts'],
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
    esbuildPlugins: [inlineConstants],
    plugins: [keepConstants],
    esbuildOptions(options) {
      // Inlines numeric constants across modules; names and whitespace stay readable.
      options.minifySyntax = true
    },
  },
  {
    name: 'tools',
    entry: ['test/check.ts', 'test/conformance/main.ts', 'docs/examples/*.ts', 'bench/main.ts'],
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
    external: [/^vgic(\/|$)/],
    esbuildOptions(options) {
      options.outbase = '.'
    },
  },
])
