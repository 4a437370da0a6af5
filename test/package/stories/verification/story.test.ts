/** I verify a driver, and RTL, against a model. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decode,
  decodeCommand,
  encode,
  encodeCommand,
  Gic,
  HCR_EL2,
  HCR_EL2_IMO,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
  listRegister,
  registers,
} from 'vgic'
import { arbitraries, expectSameState, perform, record, verify } from 'vgic/testing'

const GICD = 0x0800_0000
const GICR = 0x080a_0000

/** What the testbench does: SPI 40 from its line to its end. */
function program(): string {
  const recorder = record(new Gic({ cpus: 1, spis: 224 }))
  recorder.writeMmio(GICD, 4, encode('GICD_CTLR', { ARE: 1, EnableGrp1: 1 }))
  recorder.writeMmio(GICR + 0x14, 4, 0)
  recorder.writeMmio(GICD + 0x84, 4, 1 << 8)
  recorder.writeMmio(GICD + 0x104, 4, 1 << 8)
  recorder.writeSysreg(0, ICC_PMR_EL1, 0xff)
  recorder.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
  recorder.setSpi(40, 1)
  const intid = recorder.readSysreg(0, ICC_IAR1_EL1)
  recorder.setSpi(40, 0)
  recorder.writeSysreg(0, ICC_EOIR1_EL1, intid)
  recorder.readSysreg(0, ICC_PMR_EL1)
  return recorder.jsonl()
}

/** The package's command. */
function vgic(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(join(__dirname, '../node_modules/.bin/vgic'), args, { encoding: 'utf8' })
}

test('golden vectors are recorded, and what RTL answers is compared by name', () => {
  const golden = program()
  assert.deepEqual(verify(golden), [])
  // RTL that implements all eight bits of priority.
  const rtl = golden.replace('{"v":"0xf8"}', '{"v":"0xff"}')
  assert.deepEqual(verify(rtl), [
    { line: 1, op: 10, what: 'cpu 0 sr PMR', expected: { v: '0xff' }, actual: { v: '0xf8' } },
  ])
})

test('the command judges a file of them, and exits as a tool should', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vgic-vectors-'))
  const [good, bad] = [join(folder, 'good.jsonl'), join(folder, 'bad.jsonl')]
  writeFileSync(good, program())
  writeFileSync(bad, readFileSync(good, 'utf8').replace('{"v":"0x28"}', '{"v":"0x3ff"}'))
  const judged = vgic('conformance', good)
  assert.equal(judged.status, 0, judged.stdout + judged.stderr)
  assert.match(judged.stdout, /passed \d+ failed 0 /)
  assert.equal(vgic('conformance', bad).status, 1)
  assert.equal(vgic('conformance', join(folder, 'none.jsonl')).status, 2)
})

test('registers and commands are read and written in words, here and in a shell', () => {
  const lr = listRegister({ vintid: 40, state: 'pending', priority: 0xa0, group: 1 })
  assert.equal(lr, 0x50a0_0000_0000_0028n)
  assert.equal(
    String(decode('ICH_LR0_EL2', lr)),
    'ICH_LR0_EL2 0x50a0000000000028 (pending SPI 40 prio 0xa0 group 1)',
  )
  assert.equal(encode('ICH_VMCR_EL2', { VPMR: 0xf0, VENG1: 1 }), 0xf000_000an)
  assert.equal(registers.byEncoding(ICC_PMR_EL1).name, 'ICC_PMR_EL1')
  assert.equal(registers.byOffset('GICR', 0x14).name, 'GICR_WAKER')
  assert.equal(String(decodeCommand([0x2a_0000_0008n, 4n, 0n, 0n])), 'MAPD DeviceID=0x2a Size=4')

  assert.match(vgic('decode', 'S3_4_C12_C12_0', '0x50a0000000000028').stdout, /^ICH_LR0_EL2 .*pending SPI 40/)
  assert.match(vgic('decode', '0x08000104', '0x100').stdout, /^GICD_ISENABLER1 0x100 \(INTID40\)/)
  assert.equal(vgic('encode', 'ICH_VMCR_EL2', 'VPMR=0xf0', 'VENG1=1').stdout, '0xf000000a\n')
  const wrong = vgic('encode', 'ICH_VMCR_EL2', 'VPNR=1')
  assert.equal(wrong.status, 2)
  assert.match(wrong.stderr, /did you mean VPMR\?/)
})

test('a driver of the virtual interface sees what the list register holds', () => {
  const gic = new Gic({ cpus: 1 })
  gic.writeSysreg64(0, HCR_EL2, BigInt(HCR_EL2_IMO), 2)
  gic.writeSysreg(0, ICH_HCR_EL2, 1, 2)
  gic.writeSysreg64(0, ICH_VMCR_EL2, encode('ICH_VMCR_EL2', { VPMR: 0xf0, VENG1: 1 }), 2)
  gic.writeSysreg64(0, ichLr(0), listRegister({ vintid: 40, priority: 0xa0 }), 2)
  assert.equal(gic.readSysreg(0, ICC_IAR1_EL1, 1), 40)
  assert.match(String(gic.inspectSysreg(0, ichLr(0))), /\(active SPI 40/)
})

test('a driver that leaves a barrier out is told which, and one that does what is UNPREDICTABLE', () => {
  const GITS = 0x0808_0000
  const RD = 0x080c_0000
  const heard: string[] = []
  const gic = new Gic(
    {
      cpus: 1,
      version: '4.1',
      gicr: [{ base: RD, count: 1 }],
      its: [{ base: GITS }],
      memoryLines: 64,
      barriers: 'report',
      unpredictable: 'report',
    },
    {
      onMissingBarrier: ({ rule, what }) => heard.push(`${rule} ${what}`),
      onUnpredictable: ({ rule }) => heard.push(rule),
    },
  )
  const valid = 1n << 63n
  gic.writeMmio64(RD + 0x70, 0x4000_000fn) // GICR_PROPBASER
  gic.writeMmio64(RD + 0x78, 0x4001_0000n | (1n << 62n)) // GICR_PENDBASER, PTZ
  gic.writeMmio(RD, 4, 1) // GICR_CTLR.EnableLPIs
  gic.writeMmio64(GITS + 0x100, valid | 0x4002_0000n)
  gic.writeMmio64(GITS + 0x108, valid | 0x4003_0000n)
  gic.writeMmio64(GITS + 0x80, valid | 0x4004_0000n)
  gic.writeMmio(GITS, 4, 1)
  const commands = [
    encodeCommand('MAPC', { ICID: 0, RDbase: 0, V: 1 }),
    encodeCommand('MAPD', { DeviceID: 7, Size: 4, ITT_addr: 0x4005_0000 / 256, V: 1 }),
    encodeCommand('SYNC', {}),
    encodeCommand('MAPTI', { DeviceID: 7, EventID: 0, pINTID: 8192, ICID: 0 }),
  ]
  commands.flat().forEach((doubleword, n) => {
    gic.writeMemory(0x4004_0000 + 8 * n, Number(doubleword & 0xffff_ffffn))
    gic.writeMemory(0x4004_0004 + 8 * n, Number(doubleword >> 32n))
  })
  gic.writeMmio(GITS + 0x88, 4, 32 * commands.length)
  gic.sendMsi(7, 0) // no SYNC after MAPTI
  gic.writeMmio64(RD + 0x2_0078, valid) // GICR_VPENDBASER.Valid without a table of vPEs
  assert.deepEqual(heard, [
    'B1 MAPTI, after which there is no barrier: device 7 event 0',
    'vpropbaser-invalid',
  ])
  assert.deepEqual([gic.missingBarriers, gic.unpredictable], [['B1'], ['vpropbaser-invalid']])
})

test('a driver that does not poll is found where effects take time', () => {
  const gic = new Gic({ cpus: 1, writeEffects: 'lagging' })
  gic.writeMmio(GICR + 0x14, 4, 0) // GICR_WAKER, and ChildrenAsleep is still 1
  assert.equal(gic.readMmio(GICR + 0x14, 4), 4)
  assert.equal(gic.writesPending, true)
  gic.completeWrites()
  assert.equal(gic.readMmio(GICR + 0x14, 4), 0)
})

test('random programs drive two models, and the states that they leave are compared by name', () => {
  const { accesses } = arbitraries(fc)
  const [one, other] = [new Gic({ cpus: 2 }), new Gic({ cpus: 2 })]
  const reset = one.snapshot()
  fc.assert(
    fc.property(fc.array(accesses(one), { maxLength: 20 }), (given) => {
      for (const gic of [one, other]) {
        gic.restore(reset)
        for (const access of given) perform(gic, access)
      }
      expectSameState(one, other)
    }),
    { numRuns: 50, seed: 18 },
  )
  other.writeSysreg(0, ICC_PMR_EL1, 0x80, 1)
  one.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1)
  assert.throws(() => expectSameState(one, other), /PMR.*: expected 0x80, but is 0xf0/)
})
