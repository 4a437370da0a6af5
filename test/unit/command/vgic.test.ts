/** The command `vgic`, as a shell would call it: what it prints, and its exit status. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { subcommands, vgic } from '../../../command/vgic.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url))
const stale = fixture('stale-shadow.mjs')
const neverSleeps = fixture('never-sleeps.mjs')

async function shell(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []]
  const status = await vgic(args, { print: (text) => out.push(text), note: (text) => err.push(text) })
  return { status, out: out.join('\n'), err: err.join('\n') }
}

const json = async (...args: string[]): Promise<unknown> => JSON.parse((await shell(...args, '--json')).out)

/** A module that a user has got wrong. */
function unusable(code: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'vgic-command-')), 'scenario.mjs')
  writeFileSync(file, code)
  return file
}

describe('vgic', () => {
  it('says which subcommands there are, and each how it is called', async () => {
    const { out, status } = await shell('--help')
    expect(status).toBe(0)
    for (const { name, summary } of subcommands) {
      expect(out).toContain(summary)
      const help = await shell(name, '--help')
      expect([help.status, help.out.startsWith(`vgic ${name} `), help.err]).toEqual([0, true, ''])
      expect(help.out).toContain('--json')
    }
  })

  it('says how a subcommand is called as help of its name, too', async () => {
    expect(await shell('help', 'explore')).toEqual(await shell('explore', '--help'))
    expect(await shell('help')).toEqual(await shell('--help'))
    expect((await shell('help', 'dcode')).err).toContain('did you mean decode?')
  })

  it('says which version it is', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await shell('--version')).toEqual({ status: 0, out: version, err: '' })
  })

  it.each([
    [[], 'no SUBCOMMAND is given'],
    [['dcode'], 'there is no subcommand dcode: did you mean decode?'],
    [['png'], 'there is no subcommand png.'],
    [['decode'], 'needs a REGISTER and a VALUE'],
    [['decode', 'GICD_CTLR', 'x'], 'VALUE must be a number, such as 40 or 0x28, but is x.'],
    [
      ['decode', 'GICD_CTLR', '1', '2'],
      'not also 2; the doublewords of a command are vgic decode command DW0',
    ],
    [['decode', 'ICH_VMCR_EL1', '1'], 'did you mean ICH_VMCR_EL2?'],
    [['decode', 'FOO', '1'], 'there is no register FOO: names are as in '],
    [['decode', '0x10', '1'], 'is below every frame'],
    [['decode', 'GICD+0x44', '1'], 'GICD has no register at offset 0x44.'],
    [['decode', 'GICD_CTLR', '1', '--version', '5'], '--version must be 3, 4.0 or 4.1'],
    [['decode', 'GICD_CTLR', '1', '--jsn'], "Unknown option '--jsn'"],
    [['encode', 'GICD_CTLR', 'ARE'], 'ARE must be FIELD=VALUE.'],
    [['encode', 'ICH_VMCR_EL2', 'VPMR=0x100'], 'VPMR must be from 0 to 0xff, but is 0x100.'],
    [['encode', 'GICD_CTLR', 'ARE=1', 'DS=1', 'ARE=0'], 'ARE is given twice.'],
    [['encode', 'MAPP', 'V=1'], 'There is no command "MAPP"'],
    [['encode', 'mapd', 'V=1'], 'There is no command "mapd": did you mean MAPD?'],
    [['explore'], 'it needs FILE.mjs.'],
    [['explore', '/nowhere.mjs'], '/nowhere.mjs cannot be used: Cannot find module'],
    [['explore', unusable('throw new Error("no")')], '.mjs:1:7 cannot be used: no.'],
    [
      ['explore', unusable('export default () => null.machine')],
      '.mjs:1:27 cannot be used: Cannot read properties of null',
    ],
    [['explore', unusable('export default 5')], '.mjs must export a scenario: export default scenario('],
    [
      ['explore', unusable('export const bounds = 3, scenario = { machine: 0, run: 0 }')],
      '.mjs must be an object, such as { preemptions: 1 }.',
    ],
    [['explore', stale, '--preemptions', 'two'], '--preemptions must be a whole number, but is two.'],
    [['explore', stale, '--preemptions', '-1'], 'is written --preemptions=-1.'],
    [['explore', stale, '--preemptions=-1'], '--preemptions must be a whole number, but is -1.'],
    [['explore', stale, '--json', '--format', 'svg'], 'it prints --format or --json, not both.'],
    [['explore', stale, '--invariants', 'L1,X'], 'but has X.'],
    [['explore', stale, '--invariants', 'stale-shadow'], 'but has stale-shadow, the name of S11.'],
    [
      ['replay', stale, 'x', '--format', 'png'],
      '--format must be one of timeline, mermaid, perfetto, vcd, svg, but is png.',
    ],
    [['replay', stale, 'x~0'], 'is of another scenario'],
    [['bench', 'nothing'], 'there is no benchmark nothing'],
    [['bench', 'explore', '--only', 'spi'], '--only is for exits, not for explore.'],
    [['bench', 'device', '--rounds', '3'], '--rounds is for exits, not for device.'],
  ])('refuses %j in a sentence, with status 2', async (args, sentence) => {
    const { status, out, err } = await shell(...args)
    expect([status, out, err.split('\n').length]).toEqual([2, '', 1])
    expect(err).toContain(sentence)
    expect(err).toMatch(/^vgic.*See vgic.*--help\.$/)
  })
})

describe('vgic decode', () => {
  const line = 'ICH_LR0_EL2 0x50a0000000000028 (pending SPI 40 prio 0xa0 group 1)'

  it.each(['ICH_LR0_EL2', 'S3_4_C12_C12_0', 's3_4_c12_c12_0'])('takes a register as %s', async (register) => {
    const { status, out } = await shell('decode', register, '0x50a0000000000028')
    expect([status, out.split('\n')[0]]).toEqual([0, line])
    expect(out).toContain('  Priority  55:48  0xa0')
  })

  it.each([
    [['GICD_ISENABLER1']],
    [['GICD+0x104']],
    [['0x08000104']],
    [['0x3001_0104', '--gicd', '0x30010000']],
  ])('takes a memory-mapped one as %j', async ([register, ...options]) => {
    const { out } = await shell('decode', register, '0x100', ...options)
    expect(out).toBe('GICD_ISENABLER1 0x100 (INTID40)\n  INTID40  8  0x1')
  })

  it('knows the redistributors of a version by their addresses', async () => {
    const address = `0x${(0x080a_0000 + 0x4_0000 + 0x2_0078).toString(16)}`
    const { out } = await shell('decode', address, '0x4000000000000000', '--version', '4.0')
    expect(out).toContain('GICR_VPENDBASER 0x4000000000000000 (IDAI)')
  })

  it('takes the doublewords of a command', async () => {
    expect((await shell('decode', 'command', '0x2a00000008', '4')).out).toBe('MAPD DeviceID=0x2a Size=4')
    expect(await json('decode', 'command', '0x2a00000008')).toMatchObject({
      name: 'MAPD',
      fields: { DeviceID: 42 },
    })
  })

  it('gives plain data to programs', async () => {
    expect(await json('decode', 'GICD_CTLR', '2')).toMatchObject({ name: 'GICD_CTLR', value: '0x2' })
  })
})

describe('vgic encode', () => {
  it('makes the value of a register and the doublewords of a command', async () => {
    expect((await shell('encode', 'ICH_VMCR_EL2', 'VPMR=0xf0', 'VENG1=1')).out).toBe('0xf000000a')
    expect((await shell('encode', 'S3_4_C12_C11_7', 'VPMR=0xf0', 'VENG1=1')).out).toBe('0xf000000a')
    expect((await shell('encode', 'INT', 'DeviceID=1', 'EventID=2')).out).toBe('0x100000003 0x2 0x0 0x0')
    expect(await json('encode', 'GICD_CTLR', 'EnableGrp1=1')).toMatchObject({ value: '0x2' })
  })
})

/** What `vgic replay --json` prints. */
interface Replayed {
  readonly end: string
  readonly violation: { readonly name: string }
  readonly steps: readonly { readonly accesses: readonly object[] }[]
}

describe('vgic explore', () => {
  it('exits with 1 for a violation, which vgic replay shows', async () => {
    const { status, out } = await shell('explore', stale, '--invariants', 'S11')
    expect(status).toBe(1)
    expect(out).toMatch(/^violated: stale-shadow \(S11\)\. /)
    const [, token] = /vgic replay .* '(.+)'$/.exec(out) ?? []
    const replayed = await shell('replay', stale, token)
    expect([replayed.status, replayed.out]).toEqual([0, expect.stringContaining('vcpu0')])
    const before = await shell('replay', stale, token, '--before', '3')
    expect(before.out.split('\n').length).toBeLessThan(replayed.out.split('\n').length)
    expect(await json('replay', stale, token, '--before', '3')).toMatchObject({ steps: { length: 3 } })
    const { end, violation, steps } = (await json('replay', stale, token)) as Replayed
    expect([end, violation.name]).toEqual(['violated', 'stale-shadow'])
    const [written] = steps.flatMap(({ accesses }) => accesses)
    expect(written).toMatchObject({ name: 'ICH_VMCR_EL2', value: '0xf04c0003', fields: { VPMR: 0xf0 } })
  })

  it('checks the invariants of the module, too, and so does vgic replay', async () => {
    const { status, out } = await shell('explore', neverSleeps)
    expect([status, out.split('\n')[0]]).toEqual([1, 'violated: never-sleeps (own). No vCPU sleeps.'])
    const [, token] = /vgic replay .* '(.+)'$/.exec(out) ?? []
    const replayed = await shell('replay', neverSleeps, token)
    expect(replayed.out).toMatch(/\nviolated: never-sleeps \(own\)\. No vCPU sleeps\. Here: vcpu0 sleeps\.$/)
  })

  it('has vgic replay check what it has checked itself', async () => {
    const { out } = await shell('explore', stale, '--invariants', 'S11')
    const [, file, ids, token] = /vgic replay (.*) --invariants (.*) '(.+)'$/.exec(out) ?? []
    expect([file, ids]).toEqual([stale, 'S11'])
    const replayed = await shell('replay', file, '--invariants', ids, token)
    expect(replayed.out).toMatch(/\nviolated: stale-shadow \(S11\)/)
    expect((await shell('replay', file, '--invariants', 'S17', token)).out).not.toContain('violated')
  })

  it('exits with 0 if all holds, and with 3 if a bound was reached', async () => {
    const holds = await shell('explore', stale, '--invariants', 'S17')
    expect([holds.status, holds.out]).toEqual([0, expect.stringMatching(/^holds: /)])
    const bounded = await shell('explore', stale, '--invariants', 'S17', '--states', '10')
    expect([bounded.status, bounded.out]).toEqual([3, expect.stringMatching(/^bounded: .*states/)])
    expect(await json('explore', stale, '--invariants', 'S17', '--states', '10')).toMatchObject({
      bound: 'states',
    })
  })
})

describe('a picture', () => {
  it.each([
    ['mermaid', /^sequenceDiagram\n/],
    ['vcd', /^\$version vgic \$end\n/],
    ['svg', /^<svg xmlns/],
    ['perfetto', /^\{"displayTimeUnit"/],
    ['timeline', /^ time /],
  ])(
    'of the schedule that violates an invariant is printed as %s, and the verdict beside it',
    async (format, begins) => {
      const { status, out, err } = await shell('explore', stale, '--invariants', 'S11', '--format', format)
      expect(status).toBe(1)
      expect(out).toMatch(begins)
      expect(err).toMatch(/^violated: stale-shadow \(S11\)/)
      const [, token] = /vgic replay .* '(.+)'$/.exec(err) ?? []
      const replayed = await shell('replay', stale, token, '--format', format)
      expect([replayed.status, replayed.out]).toEqual([0, out])
      expect(out).toMatch(begins)
    },
  )
})

describe('vgic conformance', () => {
  it('has a status of its own for a file that is none', async () => {
    expect((await shell('conformance', '/nowhere.jsonl')).status).toBe(2)
  })
})
