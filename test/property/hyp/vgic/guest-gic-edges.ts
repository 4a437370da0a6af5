/**
 * What becomes of the edges of a VM, said another way: each interrupt is idle, pending, active, or pending and active,
 * and what guests and devices do moves it from one to the other. An SGI is its vCPU's, an SPI is one for all.
 */
import type { VirtualMachine } from 'vgic/scenario'
import { expect } from 'vitest'
import { GICD, ISACTIVER, ISPENDR, sgiBase } from '../../../kit/frames.ts'
import { SPIS, VCPUS } from './guest-gic-programs.ts'

/** What an edge went through, as the guest can see it. */
type Fate = 'idle' | 'pending' | 'active' | 'pending and active'

export class EdgeModel {
  private readonly fates = new Map<string, Fate>()

  fate(intid: number, vcpu: number): Fate {
    return this.fates.get(nameOf(intid, vcpu)) ?? 'idle'
  }

  private move(intid: number, vcpu: number, to: Readonly<Record<Fate, Fate>>): void {
    this.fates.set(nameOf(intid, vcpu), to[this.fate(intid, vcpu)])
  }

  pend(intid: number, vcpu: number): void {
    const both = 'pending and active'
    this.move(intid, vcpu, { idle: 'pending', pending: 'pending', active: both, [both]: both })
  }

  clear(intid: number, vcpu: number): void {
    this.move(intid, vcpu, {
      idle: 'idle',
      pending: 'idle',
      active: 'active',
      'pending and active': 'active',
    })
  }

  activate(intid: number, vcpu: number): void {
    const both = 'pending and active'
    this.move(intid, vcpu, { idle: 'active', pending: both, active: 'active', [both]: both })
  }

  deactivate(intid: number, vcpu: number): void {
    this.move(intid, vcpu, {
      idle: 'idle',
      pending: 'pending',
      active: 'idle',
      'pending and active': 'pending',
    })
  }

  /** Nothing is invented: it was pending. Nothing has two owners: it was not active. */
  acknowledge(intid: number, vcpu: number): void {
    expect([intid, this.fate(intid, vcpu)]).toEqual([intid, 'pending'])
    this.fates.set(nameOf(intid, vcpu), 'active')
  }

  /** Nothing is lost: what the registers show is what must be there. */
  check(vm: VirtualMachine): void {
    for (let intid = 32; intid < 32 + SPIS; intid++) {
      const word = 4 * (intid >> 5)
      const shows = (offset: number) => (vm.readMmio(0, GICD + offset + word, 4) >>> (intid & 31)) & 1
      this.checkOne(intid, 0, shows(ISPENDR), shows(ISACTIVER))
    }
    for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
      const pending = vm.readMmio(0, sgiBase(vcpu) + ISPENDR, 4)
      const active = vm.readMmio(0, sgiBase(vcpu) + ISACTIVER, 4)
      for (let sgi = 0; sgi < 16; sgi++) this.checkOne(sgi, vcpu, (pending >>> sgi) & 1, (active >>> sgi) & 1)
    }
  }

  private checkOne(intid: number, vcpu: number, pending: number, active: number): void {
    const fate = this.fate(intid, vcpu)
    expect([vcpu, intid, pending, active]).toEqual([
      vcpu,
      intid,
      fate.startsWith('pending') ? 1 : 0,
      fate.endsWith('active') ? 1 : 0,
    ])
  }
}

const nameOf = (intid: number, vcpu: number): string => (intid < 32 ? `${vcpu}:${intid}` : `${intid}`)
