/** I write an emulator, and need an interrupt controller. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ICC_SGI1R_EL1, VgicError } from 'vgic'
import { GICD, GICR, GITS, Machine } from './machine.ts'

test('CPU 0 sends an SGI to CPU 1, whose IRQ input rises until it is acknowledged', () => {
  const machine = new Machine()
  machine.boot()
  machine.msr(0, ICC_SGI1R_EL1, (5n << 24n) | 0b10n)
  assert.deepEqual(machine.irq, [false, true])
  assert.equal(machine.serve(1), 5)
  assert.deepEqual(machine.irq, [false, false])
})

test('a device sends an MSI, which its driver has mapped to an LPI of CPU 1', () => {
  const machine = new Machine()
  machine.boot()
  machine.bootIts()
  machine.gic.sendMsi(0x100, 3)
  assert.deepEqual(machine.irq, [false, true])
  assert.equal(machine.serve(1), 8192)
  machine.gic.sendMsi(0x100, 4)
  assert.deepEqual(machine.irq, [false, false])
  const why = machine.gic.explainMsi(0x100, 4)
  assert.equal(why.reason, 'event-unmapped')
  assert.deepEqual(machine.guestErrors, [])
})

test('no IRQ comes: I ask why, and the guest has forgotten GICR_WAKER', () => {
  const machine = new Machine()
  machine.boot({ wakes: false })
  machine.gic.writeMmio(GICD + 0x84, 4, 1 << 8) // SPI 40: group 1
  machine.gic.writeMmio(GICD + 0x104, 4, 1 << 8) // enabled
  machine.gic.setSpi(40, 1)
  assert.deepEqual(machine.irq, [false, false])

  const why = machine.gic.explain(40)
  assert.equal(why.reason, 'asleep')
  assert.match(String(why), /GICR_WAKER\.ChildrenAsleep is 1/)
  assert.deepEqual(
    why.conditions.filter(({ holds }) => !holds).map(({ name }) => name),
    ['awake', 'PSTATE'],
  )

  machine.gic.writeMmio(GICR + 0x14, 4, 0)
  assert.deepEqual(machine.irq, [true, false])
  assert.equal(machine.gic.explain(40).signalled, true)
})

test('I hear of what the guest does wrong, by name, as from QEMU with -d guest_errors', () => {
  const machine = new Machine()
  machine.boot()
  machine.gic.writeMmio(GICD + 0x820, 4, 1) // a driver of GICv2
  machine.gic.readMmio(GICD + 0x104, 2) // GICD_ISENABLER1 has words
  machine.gic.readMmio(GICD + 0x44, 4)
  machine.bootIts()
  machine.command('MAPTI', { DeviceID: 0x200, EventID: 0, pINTID: 8193, ICID: 0 })
  const what = machine.guestErrors.map((event) => (event.kind === 'access' ? event.error : event.name))
  assert.deepEqual(what, ['gicv2', 'size', 'no-register', 'MAPTI_UNMAPPED_DEVICE'])
})

test('I look at an interrupt, a CPU and the whole device as plain data', () => {
  const machine = new Machine()
  machine.boot()
  machine.gic.setPpi(1, 27, 1)
  const timer = machine.gic.interrupt(27, 1)
  assert.deepEqual([timer.pending, timer.enabled, timer.line, timer.reason], [true, false, 1, 'disabled'])
  const dump = machine.gic.dump()
  assert.equal(dump.cpus.length, 2)
  assert.deepEqual(JSON.parse(JSON.stringify(dump)), dump)
  assert.equal(machine.gic.registerAt(GITS + 0x88), 'GITS_CWRITER')
})

test('the machine is saved and restored, with an interrupt on its way', () => {
  const machine = new Machine()
  machine.boot()
  machine.msr(0, ICC_SGI1R_EL1, (7n << 24n) | 0b10n)
  const restored = new Machine(machine.gic.snapshot())
  assert.deepEqual(restored.irq, [false, true])
  assert.equal(restored.gic.hash(), machine.gic.hash())
  assert.equal(restored.serve(1), 7)
  assert.notDeepEqual(restored.gic.diff(machine.gic.snapshot()), [])
})

test('nothing that a guest does throws, and what I do wrong says what to do', () => {
  const machine = new Machine()
  machine.gic.writeMmio(GICD + 0xffff, 8, 0xff)
  assert.throws(
    () => machine.gic.setSpi(5, 1),
    (error) => error instanceof VgicError && error.code === 'argument' && /setPpi|32/.test(error.message),
  )
})
