/** What the programs beside the library do with their arguments, and how they say what and how far they are. */
import { describe, expect, it } from 'vitest'
import { header, Progress, readArguments } from '../command-line.ts'

const program = {
  name: 'bench',
  help: '\nnpm run bench\n',
  options: { twin: { type: 'string' }, json: { type: 'boolean' } },
} as const

const read = (...args: string[]) => readArguments(program, args)
const refused = (says: string) => ({ says: `bench: ${says}. See npm run bench -- --help.`, exitCode: 2 })

describe('the arguments of a program', () => {
  it('are its options, in any order', () => {
    expect(read()).toEqual({ values: {} })
    expect(read('--twin', 'a.c', '--json')).toEqual({ values: { twin: 'a.c', json: true } })
    expect(read('--json', '--twin=-a.c')).toEqual({ values: { twin: '-a.c', json: true } })
  })

  it('ask for help, whatever else is there', () => {
    expect(read('--help')).toEqual({ says: 'npm run bench', exitCode: 0 })
    expect(read('--json', '--help')).toEqual({ says: 'npm run bench', exitCode: 0 })
  })

  it('are refused if it does not know them', () => {
    const known = 'its options are --twin, --json, --help'
    expect(read('--jsn')).toEqual(refused(`there is no option --jsn, ${known}`))
    expect(read('-j')).toEqual(refused(`there is no option -j, ${known}`))
    expect(read('--toString')).toEqual(refused(`there is no option --toString, ${known}`))
    expect(read('--help', '--jsn')).toEqual(refused(`there is no option --jsn, ${known}`))
    expect(read('--json', 'device')).toEqual(refused('it takes no argument device'))
    expect(read('--', 'device')).toEqual(refused('it takes no argument device'))
  })

  it('are refused with a value too many or too few', () => {
    expect(read('--json=1')).toEqual(refused('--json takes no value'))
    expect(read('--twin')).toEqual(refused('--twin needs a value'))
    expect(read('--twin=')).toEqual(refused('--twin needs a value'))
    expect(read('--twin', '--json')).toEqual(refused('--twin needs a value'))
  })
})

describe('the header of a program', () => {
  it('says what ran, where, and how to read it', () => {
    const [what, where, legend, empty, ...more] = header('bench: exits', 'medians').split('\n')
    expect([what, legend, empty, more]).toEqual(['vgic bench: exits', 'medians', '', []])
    expect(where).toMatch(/^\d+ x .+, Node v\d+\./)
    expect(where.endsWith(process.version)).toBe(true)
  })
})

describe('progress', () => {
  function written(isTTY: boolean): string {
    const parts: string[] = []
    const stream = { isTTY, write: (part: string) => parts.push(part) > 0 }
    const progress = new Progress(2, stream as never)
    progress.next('hypercall')
    progress.clear()
    progress.next('spi')
    progress.clear()
    return parts.join('')
  }

  it('is one line on a terminal, which the results take the place of', () => {
    expect(written(true)).toBe('\r\x1b[K1/2 hypercall\r\x1b[K\r\x1b[K2/2 spi\r\x1b[K')
  })

  it('is a line a part elsewhere', () => {
    expect(written(false)).toBe('1/2 hypercall\n2/2 spi\n')
  })
})
