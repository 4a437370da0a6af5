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
      const rest = source.replaceAll(literal, '')
      return { contents: head + (isHot.test(path) ? withConstantFunctions(rest) : rest), loader: 'ts' }
    })
  },
}

/** The blocks that run at every exit. */
const isHot = /\/src\/(gic|hyp)\//

/** Functions as constants: see {@link keepConstants}. None of them may be called while its module is loaded. */
const withConstantFunctions = (source: string): string =>
  source.replaceAll(/^(export )?function (\w+)(?=\()/gm, '$1const $2 = function ')

/**
 * Makes every binding of a chunk's top level a constant of the chunk's own. V8 then knows that it never changes, and a
 * call to a function among them is inlined without asking each time whether it still is the same one. esbuild
 * declares them with `var`, and what a chunk exports or imports is a module's variable, which is looked up and
 * checked for being initialised at each use: so names are exported, and used after an import, under a second name.
 * Lines stay where they are.
 */
const keepConstants: NonNullable<Options['plugins']>[number] = {
  name: 'keep constants',
  renderChunk: (code, { map }) => ({
    code: code
      .replaceAll(/^var (?=[\w{])/gm, 'const ')
      .replaceAll(/^import \{([^}]*)\} from (".*");$/gm, (_, list: string, from: string) => {
        const names = namesOf(list)
        const imported = names.map(([name, local]) => `${name} as ${local}_imported`)
        const constants = names.map(([, local]) => `${local} = ${local}_imported`)
        return `import {${imported}} from ${from}; const ${constants};${linesOf(list)}`
      })
      .replaceAll(/^export \{([^}]*)\};$/gm, (_, list: string) => {
        const names = namesOf(list)
        const constants = new Set(names.map(([local]) => `${local}_exported = ${local}`))
        const exported = names.map(([local, name]) => `${local}_exported as ${name}`)
        return `const ${[...constants]}; export {${exported}};${linesOf(list)}`
      }),
    map: map ?? null,
  }),
}

/** Of `a, b as c` the pairs `a, a` and `b, c`. */
const namesOf = (list: string) =>
  [...list.matchAll(/(\w+)(?: as (\w+))?/g)].map(([, name, as = name]) => [name, as] as const)

const linesOf = (text: string): string => text.replaceAll(/[^\n]/g, '')

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
    entry: [
      'test/check.ts',
      'test/conformance/main.ts',
      'test/mutants/main.ts',
      'test/browser/page.ts',
      'docs/examples/*.ts',
      'bench/main.ts',
    ],
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
    external: [/^vgic(\/|$)/, 'playwright-core'],
    esbuildOptions(options) {
      options.outbase = '.'
    },
  },
])
