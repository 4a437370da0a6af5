/**
 * What a driver relies on while a vPE becomes resident or leaves (IHI 0069, "vPE residency", "GICR_VPENDBASER"), or before
 * a VSYNC says that commands about the vPE are done. Rules B6 to B11.
 */
import {
  GICR_VPENDBASER_HIGH_Dirty,
  GICR_VPENDBASER_HIGH_Doorbell,
  GICR_VPENDBASER_HIGH_Valid,
  GICR_VPENDBASER_vPEID,
} from '../../arch/gicr-registers.ts'
import {
  COMMAND_VPEID,
  commandName,
  ITS_INVDB,
  ITS_VINVALL,
  ITS_VMAPP,
  ITS_VMOVP,
  ITS_VSGI,
} from '../../arch/its-commands.ts'
import type { BarrierRule } from '../config/missing-barriers.ts'
import type { Its } from '../its/its.ts'
import { GICR_VPENDBASER } from '../vpe/vpe-offsets.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { type Access, upperHalf } from './access.ts'
import { VALID_CLEARED, VALID_SET, WRITES_UNPOLLED } from './barrier-records.ts'
import { type CommandNotes, type Note, noteName } from './command-notes.ts'
import type { Reports } from './reports.ts'

const HIGH = 0x1_0000_0000
const VPT_LOW = ~0xffff
const ADDRESS_HIGH = 0xfffff
const BEFORE_RESIDENCY = new Set([ITS_VMAPP, ITS_VMOVP, ITS_VSGI, ITS_VINVALL])
const BEFORE_SGI = new Set([ITS_VMAPP, ITS_VMOVP])

export class ResidencyBarriers {
  readonly words: Int32Array

  constructor(
    readonly reports: Reports,
    readonly notes: CommandNotes,
    /** The record BARRIERS_CPU of a CPU. */
    readonly recordOf: (cpu: number) => number,
    readonly vpes: Vpes,
    readonly cpus: number,
  ) {
    this.words = reports.words
  }

  /** GICR_VPENDBASER is to be written. */
  beforeWrite(access: Access, cpu: number): void {
    const high = upperHalf(access)
    if (high === undefined) return
    const at = this.vpes.resident.recordOf(cpu) + GICR_VPENDBASER
    const isValid = (high & GICR_VPENDBASER_HIGH_Valid) !== 0
    if (isValid === ((this.words[at + 1] & GICR_VPENDBASER_HIGH_Valid) !== 0)) return
    const record = this.recordOf(cpu) + WRITES_UNPOLLED
    if (this.words[record] & (VALID_SET | VALID_CLEARED)) {
      const what = this.words[record] & VALID_SET ? 'the vPE that becomes resident' : 'the vPE that leaves'
      this.reports.report('B10', access.name, { cpu }, what)
    }
    const low = access.size === 8 ? access.value : this.words[at]
    this.words[record] &= ~(VALID_SET | VALID_CLEARED)
    if (isValid) {
      // GICv4.0 does not show that a vPE becomes resident.
      if (this.vpes.byVpeid) this.words[record] |= VALID_SET
      this.relyOn('B6', access, cpu, (note) => BEFORE_RESIDENCY.has(note.kind) && this.isOf(note, low, high))
      return
    }
    this.words[record] |= VALID_CLEARED
    const isRequested = this.vpes.byVpeid && (high & GICR_VPENDBASER_HIGH_Doorbell) !== 0
    const vpe = GICR_VPENDBASER_vPEID(this.words[at])
    this.relyOn('B8', access, cpu, ({ kind, target }) => isRequested && kind === ITS_INVDB && target === vpe)
  }

  /** Whether a note is about the vPE that the register names: by its vPEID or, on GICv4.0, where VMAPP has put its table. */
  private isOf({ kind, target, address, flag }: Note, low: number, high: number): boolean {
    if (flag) return false
    if (this.vpes.byVpeid) return target === GICR_VPENDBASER_vPEID(low)
    return kind === ITS_VMAPP && address === ((low & VPT_LOW) >>> 0) + (high & ADDRESS_HIGH) * HIGH
  }

  private relyOn(rule: BarrierRule, access: Access, cpu: number, test: (note: Note) => boolean): void {
    for (const note of this.notes.take(test)) {
      const what = `${noteName(note)} of vPE ${note.target}, after which there is no VSYNC`
      this.reports.report(rule, access.name, { cpu, its: note.owner }, what)
    }
  }

  /** GICR_VPENDBASER was read. */
  afterRead(access: Access, cpu: number): void {
    const high = upperHalf(access)
    if (high === undefined || high & GICR_VPENDBASER_HIGH_Dirty) return
    this.words[this.recordOf(cpu) + WRITES_UNPOLLED] &= ~(VALID_SET | VALID_CLEARED)
  }

  /** A CPU goes to a lower exception level than EL2. */
  enterGuest(cpu: number): void {
    const at = this.recordOf(cpu) + WRITES_UNPOLLED
    if ((this.words[at] & VALID_SET) === 0) return
    this.words[at] &= ~VALID_SET
    this.reports.report('B9', 'ERET', { cpu }, 'the vPE that becomes resident')
  }

  /** GITS_SGIR is to be written. */
  sendSgi({ name, its, value, high }: Access): void {
    const vpe = high & 0xffff
    const relied = this.notes.take(
      ({ kind, target, event, flag }) =>
        !flag && target === vpe && (BEFORE_SGI.has(kind) || (kind === ITS_VSGI && event === (value & 0xf))),
    )
    for (const note of relied) {
      const what = `${noteName(note)} of vPE ${vpe}, after which there is no VSYNC`
      this.reports.report('B7', name, { its }, what)
    }
  }

  /** B11: the command of an ITS moves or unmaps a vPE that leaves. */
  beforeCommand({ commands, number, vpeEntries, memory }: Its): void {
    const { opcode } = commands
    if (opcode !== ITS_VMOVP && (opcode !== ITS_VMAPP || commands.valid)) return
    const vpe = COMMAND_VPEID(commands.word(3))
    vpeEntries?.find(vpe)
    memory.takeRefusal()
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      const at = this.recordOf(cpu) + WRITES_UNPOLLED
      if ((this.words[at] & VALID_CLEARED) === 0 || !this.isNamed(cpu, vpe)) continue
      this.words[at] &= ~VALID_CLEARED
      this.reports.report('B11', commandName(opcode) ?? '', { cpu, its: number }, `vPE ${vpe}, which leaves`)
    }
  }

  /** Whether a CPU's GICR_VPENDBASER has the vPE that an ITS has just looked for. */
  private isNamed(cpu: number, vpe: number): boolean {
    const { vpes, words } = this
    const at = vpes.resident.recordOf(cpu) + GICR_VPENDBASER
    if (vpes.byVpeid) return GICR_VPENDBASER_vPEID(words[at]) === vpe
    return (words[at] & VPT_LOW) === vpes.vptLow && (words[at + 1] & ADDRESS_HIGH) === vpes.vptHigh
  }
}
