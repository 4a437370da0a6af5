/** What the page and its worker tell each other, and what a counterexample is made of that the page shows. */
import type { Bounds, Interventions, Progress, Verdict } from 'vgic/explore'

/** What is explored: an entry of the museum, with its bug or without, or a module's text. */
export type Subject =
  | { readonly kind: 'entry'; readonly entry: string; readonly side: Side }
  | { readonly kind: 'text'; readonly text: string }

/** A museum entry's design with the bug, or the good one. */
export type Side = 'bug' | 'good'

/** Bounds in place of those that the entry or the text has. */
export type Overrides = Interventions & Pick<Bounds, 'shortest'>

/** What the page asks for. */
export type Request =
  | {
      readonly type: 'explore'
      readonly subject: Subject
      readonly overrides: Overrides
    }
  | { readonly type: 'replay'; readonly subject: Subject; readonly token: string }
  | { readonly type: 'stop' }

/** What the worker answers. */
export type Answer =
  | { readonly type: 'museum'; readonly entries: readonly EntryFacts[] }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'shown'; readonly finding: Finding; readonly film: Film }
  | { readonly type: 'failed'; readonly message: string }

/** A museum entry as the page lists it. */
export interface EntryFacts {
  readonly id: string
  readonly name: string
  readonly story: string
  readonly invariant: string
  /** Names of its designs. */
  readonly bug: string
  readonly good: string
  readonly bounds: Interventions
}

/** What was found out. */
export interface Finding {
  /** `run` of a replay that violates nothing: nothing is known of other schedules. */
  readonly verdict: Verdict | 'run'
  /** The violated invariant: `lost-doorbell (L2)`. */
  readonly rule?: string
  readonly says?: string
  readonly what?: string
  /** What was looked at, as a sentence. */
  readonly looked: string
  /** The schedule that is shown; left out of a plain run. */
  readonly token?: string
}

/** A schedule step by step, and the machine after each. */
export interface Film {
  readonly design: string
  /** The design's lists as lines. */
  readonly listing: readonly DesignLine[]
  /** Columns of the timeline: vCPUs, devices, and the environment, if it acts. */
  readonly lanes: readonly string[]
  readonly cpus: number
  /** None without GICv4. */
  readonly vpes: number
  /** What the state is made of, the same in all steps, so that nothing moves when values come and go. */
  readonly cards: readonly Card[]
  /** The first is the state before the first step. */
  readonly frames: readonly Frame[]
  /** Steps that were taken before the first frame: only so many frames are kept. */
  readonly leftOut: number
}

/** A line of a design. */
export interface DesignLine {
  readonly depth: number
  readonly text: string
  /** The step that the line is. */
  readonly step?: string
  /** Set in a part that only machines with GICv4 have. */
  readonly gicv4?: true
}

/** A part of the machine. */
export interface Card {
  readonly title: string
  /** Of a table: the heads of its columns. */
  readonly columns?: readonly string[]
  readonly rows: readonly Row[]
}

/** Values in a line. */
export interface Row {
  readonly label: string
  readonly cells: readonly CellShape[]
}

/** A value that steps change. */
export interface CellShape {
  readonly name: string
  /** Whether it is a name that is lit while it is so. */
  readonly isFlag: boolean
}

/** A step, and the state after it. */
export interface Frame {
  /** Left out before the first step. */
  readonly step?: StepFacts
  /** By CPU, what is on it. */
  readonly cpus: readonly CpuFacts[]
  /** A text for each cell of all cards in their order, empty for one that is not there; of a flag `1` while it is lit, else `0`. */
  readonly values: readonly string[]
}

/** What is on a CPU: a vCPU's thread or guest. */
export interface CpuFacts {
  readonly vcpu: number | undefined
  readonly inGuest: boolean
}

/** What a step did. */
export interface StepFacts {
  readonly time: number
  readonly lane: number
  readonly actor: string
  readonly cpu: number | undefined
  readonly kind: StepKind
  readonly place: string
  readonly what: string
  /** Accesses to the silicon, and list registers that the guest changed. */
  readonly accesses: readonly AccessFacts[]
  /** Whose source it is: the name of a step of the library, or `event:` and the kind of event. */
  readonly source: string
  /** The line of the design's listing, of a step of the design. */
  readonly line?: number
  /** The source of a step of the design's own. */
  readonly own?: string
}

/** Of whom a step is, by which the timeline colours it. */
export type StepKind = 'hypervisor' | 'guest' | 'scheduler' | 'device' | 'environment'

/** An access in words. */
export interface AccessFacts {
  /** `<-` reads, `->` writes; `=>` of a list register that the guest's access has changed. */
  readonly arrow: '<-' | '->' | '=>'
  readonly name: string
  readonly value: string
}

/** Where the code of a step is; steps.json has one for each name, `own:` before those of designs of the library. */
export interface StepSource {
  readonly file: string
  readonly line: number
  readonly says: string
  readonly text: string
  /** Whether machines without GICv4 leave the step out. */
  readonly gicv4: boolean
}
