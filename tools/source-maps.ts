/**
 * Takes the sources out of the library's source maps, which would have them twice, for ESM and for CommonJS: the package has
 * src, to which the maps refer.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

interface SourceMap {
  readonly sources: readonly string[]
  readonly sourcesContent?: readonly (string | null)[]
}

/** The file of a module that tools/constants.ts has made of one. */
const withoutPlugin = (source: string, directory: string): string =>
  source.startsWith('constants:')
    ? relative(directory, source.slice('constants:'.length).split('?')[0])
    : source

/** Rewrites the maps of a directory. Throws for a map of a source that is not where it says. */
export function withoutSources(directory: string): void {
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.map'))) {
    const path = join(directory, name)
    const { sourcesContent: _, ...map } = JSON.parse(readFileSync(path, 'utf8')) as SourceMap
    const sources = map.sources.map((source) => withoutPlugin(source, directory))
    const lost = sources.find((source) => !existsSync(join(directory, source)))
    if (lost !== undefined) throw new Error(`${path} is of ${lost}, which is not there`)
    writeFileSync(path, JSON.stringify({ ...map, sources }))
  }
}
