/**
 * What a bundler keeps of the built library for one name: package.json says that nothing but what is used matters, and
 * the build marks what it computes. Bounds are in bytes of minified code, a little above what they are today.
 */
import { build } from 'esbuild'

/** A program, and the most bytes that it may bundle to. */
const BOUNDS = [
  { name: 'ICC_PMR_EL1', entry: 'vgic', bytes: 200 },
  { name: 'VgicError', entry: 'vgic', bytes: 600 },
  { name: 'extractField', entry: 'vgic', bytes: 2_500 },
  { name: 'decode', entry: 'vgic', bytes: 24_000 },
  { name: 'Gic', entry: 'vgic', bytes: 225_000 },
] as const

/** Bundles a program that uses one name, in a project that has the library installed. */
async function bytesOf(name: string, entry: string, project: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `import { ${name} } from '${entry}'\nconsole.log(${name})\n`, resolveDir: project },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    logLevel: 'silent',
  })
  return outputFiles[0].contents.length
}

/** Throws an error that names the first bound that is broken; says what was measured. */
export async function checkSizes(project: string): Promise<string> {
  const measured: string[] = []
  for (const { name, entry, bytes } of BOUNDS) {
    const size = await bytesOf(name, entry, project)
    measured.push(`${name} ${size}`)
    if (size > bytes)
      throw new Error(`${name} of '${entry}' bundles to ${size} bytes, and should to ${bytes}.`)
  }
  return `bytes: ${measured.join(', ')}`
}
