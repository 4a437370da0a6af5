/**
 * What the host's ITS driver keeps: for each vCPU what Linux has in struct its_vpe, for each interrupt of an assigned
 * device how its event is mapped, and where the next command goes. There are none without GICv4.
 */
import { intidName } from '../../arch/intid.ts'
import { type Layout, type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

export * from './its-vpe-offsets.ts'

/** A vPE. Its vPEID is the index of its vCPU. */
export const vpeRows = {
  VPE_RESIDENT: {
    name: 'resident',
    class: 'authoritative',
    by: [],
    says: 'Whether the hypervisor has made it resident: from its load to its put.',
  },
  VPE_PENDING_LAST: {
    name: 'pendingLast',
    class: 'authoritative',
    by: [],
    says: 'Whether an interrupt may be pending for it while it is not resident: PendingLast of its last put, or its doorbell has rung. It is a hint.',
  },
  VPE_CPU: {
    name: 'cpu',
    class: 'authoritative',
    by: [],
    says: 'The CPU whose redistributor it is mapped to, and so its doorbell: col_idx.',
  },
  VPE_MAPPED: {
    name: 'mapped',
    class: 'authoritative',
    by: [],
    says: 'Whether the ITS has it: from VMAPP with V = 1 to VMAPP with V = 0.',
  },
  VPE_DOORBELL: {
    name: 'doorbell',
    class: 'authoritative',
    by: [],
    says: 'On GICv4.0, whether its doorbell LPI is enabled.',
  },
  VPE_PROXY: {
    name: 'proxy',
    class: 'authoritative',
    by: [],
    says: "On GICv4.0, whether the proxy device has an event for its doorbell LPI: the vPE's vPEID.",
  },
  VPE_VLPIS: {
    name: 'vLPIs',
    class: 'authoritative',
    by: [],
    says: 'How many interrupts of devices are forwarded to it: vlpi_count.',
  },
  VPE_LAST: {
    name: 'last',
    class: 'normalised',
    by: [],
    says: 'PendingLast as a put without the lock has read it, until it is stored.',
  },
  VPE_VMAPP: {
    name: 'wasMapped',
    class: 'authoritative',
    by: [],
    says: 'Whether it was mapped ever: its pending table is zero before that.',
  },
} as const satisfies Rows

/** An interrupt of a device that is assigned to the VM: struct vlpi map and its_device of one event. */
export const forwardRows = {
  FORWARD_DEVICE: { name: 'DeviceID', class: 'authoritative', by: [], says: 'The DeviceID of its messages.' },
  FORWARD_EVENT: { name: 'EventID', class: 'authoritative', by: [], says: 'Their EventID.' },
  FORWARD_ATTACHED: {
    name: 'attached',
    class: 'authoritative',
    by: [],
    says: 'Of the first interrupt of a device: whether the ITS has the device.',
  },
  FORWARD_BOUND: {
    name: 'bound',
    class: 'authoritative',
    by: [],
    says: "Whether the ITS has the event: the device's driver has enabled its interrupt.",
  },
  FORWARD_VINTID: {
    name: 'vINTID',
    class: 'authoritative',
    by: [],
    says: 'The vLPI that the event is; 0 while it is the host LPI.',
    means: (value: number) => (value === 0 ? 'none' : intidName(value)),
  },
  FORWARD_VPE: { name: 'vPEID', class: 'normalised', by: [], says: 'The vPE of that vLPI.' },
  FORWARD_DOORBELL: {
    name: 'doorbell',
    class: 'normalised',
    by: [],
    says: 'On GICv4.0, whether the vLPI rings the doorbell of its vPE: db_enabled.',
  },
} as const satisfies Rows

export const hostItsRows = {
  HOST_ITS_WRITER: {
    name: 'writer',
    class: 'normalised',
    by: [],
    says: 'The offset in the command queue at which the next command goes.',
  },
  HOST_ITS_NESTING: {
    name: 'nesting',
    class: 'authoritative',
    by: [],
    says: 'One more than the index of the first vCPU whose vPE was loaded while it was resident, or put while it was not, where a design does not expect that; 0 if none was.',
  },
  HOST_ITS_COMMAND: {
    name: 'command',
    count: 8,
    class: 'observational',
    by: [],
    says: 'The command that is sent; it means nothing between accesses.',
  },
} as const satisfies Rows

/** How many of each there are. */
export interface DirectSize {
  /** vPEs: one a vCPU, or none without GICv4. */
  readonly vpes: number
  /** Interrupts of assigned devices. */
  readonly forwards: number
}

export interface DirectRecords {
  readonly vpe: RecordType
  readonly forward: RecordType
  readonly its: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

export function directRecords({ vpes, forwards }: DirectSize): DirectRecords {
  const vpe = recordType('its_vpe[<n>]', wordsOf(vpeRows, undefined))
  const forward = recordType('forward[<n>]', wordsOf(forwardRows, undefined))
  const its = recordType('hostIts', wordsOf(hostItsRows, undefined))
  return {
    vpe,
    forward,
    its,
    list: [
      [vpe, vpes],
      [forward, forwards],
      [its, vpes === 0 ? 0 : 1],
    ],
  }
}

/** Where they are. */
export interface DirectLayout {
  /** The vPE of vCPU 0, and how many there are. */
  readonly vpes: number
  readonly vpeCount: number
  readonly forwards: number
  readonly forwardCount: number
  readonly its: number
}

export const directLayoutOf = (
  records: DirectRecords,
  layout: Layout,
  { vpes, forwards }: DirectSize,
): DirectLayout => ({
  vpes: layout.baseOf(records.vpe),
  vpeCount: vpes,
  forwards: layout.baseOf(records.forward),
  forwardCount: forwards,
  its: layout.baseOf(records.its),
})
