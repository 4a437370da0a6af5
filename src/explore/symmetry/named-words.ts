/**
 * The words of a machine whose values name a vCPU, a CPU or an SPI. Handles are found by what their rows say that they
 * mean; the others are listed here. A new word that names somebody is to be listed, too: the property that permuted
 * machines take permuted steps fails otherwise (test/property/explore/symmetry.test.ts).
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import { ICH_LR } from '../../gic/cpu-interface/virtual-interface.ts'
import { GUEST_ACK, GUEST_VALUE, MAX_DEPTH } from '../../hyp/records/guest-record.ts'
import { privateIrq, VCPU_DATA, VCPU_INDEX, VCPU_LAST_CPU, VCPU_SPIN } from '../../hyp/records/vcpu.ts'
import { asIrq, irqAfter } from '../../hyp/records/vgic-irq.ts'
import { VM_STOPPER } from '../../hyp/records/vm.ts'
import type { Machine } from '../../scenario/machine.ts'

/** What a word names: nobody, the record or word whose offset it is, a vCPU or a CPU by its index. */
export const NAMES_NONE = 0
export const NAMES_OFFSET = 1
export const NAMES_VCPU = 2
/** One more than a vCPU's index. */
export const NAMES_VCPU_BEFORE = 3
export const NAMES_CPU = 4
export const NAMES_INTID = 5
/** An interrupt's word, with its target and the vCPU on whose ap_list it is. */
export const NAMES_IN_IRQ = 6
/** The affinity of an SPI's target. */
export const NAMES_AFFINITY = 7
/** A bitmap of SPIs. */
export const NAMES_SPIS = 8
/** The operand of a register that the guest writes: what it names depends on the register, which is in the syndrome. */
export const NAMES_BY_REGISTER = 9

/** What each word names, by its offset. */
export function namedWords(machine: Machine): Uint8Array {
  const { hypervisor, setup, ghosts } = machine
  const { layout, silicon, config, state } = hypervisor
  const named = new Uint8Array(state.layout.length)
  for (const { record, base, count } of state.layout.placements) {
    for (const word of record.words) {
      if (word.means !== 'record' && word.means !== 'word') continue
      for (let i = 0; i < count; i++)
        named.fill(
          NAMES_OFFSET,
          base + i * record.size + word.at,
          base + i * record.size + word.at + (word.count ?? 1),
        )
    }
  }
  for (let index = 0; index < setup.vcpus; index++) {
    const v = hypervisor.vcpu(index)
    named[v + VCPU_INDEX] = NAMES_VCPU
    named[v + VCPU_SPIN] = NAMES_VCPU_BEFORE
    named[v + VCPU_LAST_CPU] = NAMES_CPU
    named[v + VCPU_DATA] = NAMES_BY_REGISTER
    named[v + GUEST_VALUE] = NAMES_INTID
    named.fill(NAMES_INTID, v + GUEST_ACK, v + GUEST_ACK + MAX_DEPTH + 1)
    for (let intid = 0; intid < FIRST_SPI; intid++) named[privateIrq(v, intid)] = NAMES_IN_IRQ
  }
  for (let cpu = 0; cpu < config.cpus; cpu++) {
    const first = silicon.peOf(cpu) + ICH_LR
    for (let n = 0; n < config.listRegisters; n++) named[first + 2 * n] = NAMES_INTID
  }
  named[layout.vm + VM_STOPPER] = NAMES_VCPU_BEFORE
  // An SPI that no device drives is never pending: where it is routed, vCPU 0 if it was not set up, is no matter.
  for (const { intid } of machine.devices.flatMap(({ steps }) => steps)) {
    if (intid < FIRST_SPI) continue
    named[irqAfter(asIrq(layout.spis), intid - FIRST_SPI)] = NAMES_IN_IRQ
    named[layout.irouters + intid - FIRST_SPI] = NAMES_AFFINITY
  }
  for (const bitmap of [layout.edgeLines, ghosts.spiEdges])
    named.fill(NAMES_SPIS, bitmap, bitmap + Math.ceil(setup.spis / 32))
  return named
}
