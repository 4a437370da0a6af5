/**
 * A run as a picture in SVG: a lane for each thread, device and event of the environment, with a column for each step,
 * and below them what each PE runs, its virtual lines and its list registers. It is readable on light and dark pages,
 * and says of a step what it did when it is pointed at.
 */
import { LR_State, listRegisterStates } from '../../arch/ich-registers.ts'
import { intidName } from '../../arch/intid.ts'
import type { Run } from '../run.ts'
import type { StepEvent } from '../step-events.ts'
import { describeAccess } from '../timeline.ts'
import {
  type PeSample,
  type PictureOptions,
  type Recorded,
  record,
  residencyTexts,
  type Sample,
  titleOf,
} from './samples.ts'

const COLUMN = 12
const LANE = 22
const GAP = 6
const LEFT = 120
/** The last labels lean over to the right. */
const RIGHT = 80
/** For the labels of steps, which are written upwards. */
const TOP = 136

const STYLE = `
  text { font: 11px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .label { font-size: 10px }
  .grid { stroke: #d0d7de }
  .host { fill: #54aeff } .guest { fill: #4ac26b } .device { fill: #d4a72c } .environment { fill: #a475f9 }
  .broken { fill: #cf222e } .broken-text { fill: #cf222e; font-weight: bold }
  .runs { fill: #b6e3ff } .runs-guest { fill: #aceebb } .pending { fill: #eac54f } .active { fill: #ffb77c }
  .wave { fill: none; stroke: #57606a; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #3d444d } .wave { stroke: #9198a1 }
    .broken-text { fill: #ff7b72 }
    .runs { fill: #0c4a7c } .runs-guest { fill: #1a5b2b } .pending { fill: #7d5d0b } .active { fill: #8a4a12 }
  }`

/** A run as an SVG picture, whole by itself. */
export function toSvg(run: Run, options: PictureOptions = {}): string {
  const recorded = record(run, options)
  const { samples, actors, violation } = recorded
  const pes = samples[0]?.after.pes ?? []
  const lanes = [
    ...actors.map((name, i) => actorLane(recorded, name, TOP + i * (LANE + GAP))),
    ...[...peLanes(samples, pes)].map((lane, i) => lane(TOP + (actors.length + i) * (LANE + GAP) + 2 * GAP)),
  ]
  const width = LEFT + samples.length * COLUMN + RIGHT
  const height = TOP + lanes.length * (LANE + GAP) + 4 * GAP + (violation ? LANE : 0)
  const broken = violation
    ? [
        `<text class="broken-text" x="${LEFT}" y="${height - 2 * GAP}">violated ${escaped(`${titleOf(violation)}: ${violation.what}`)}</text>`,
      ]
    : []
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(`A run of ${samples.length} steps${violation ? ` that violates ${titleOf(violation)}` : ''}`)}</title>`,
    `<style>${STYLE}\n</style>`,
    ...lanes.flat(),
    ...broken,
    '</svg>',
    '',
  ].join('\n')
}

const columnOf = (i: number): number => LEFT + i * COLUMN

const laneName = (name: string, y: number): string =>
  `<text x="4" y="${y + LANE - 7}">${escaped(name)}</text>`

function actorLane({ samples, violation }: Recorded, name: string, y: number): string[] {
  const baseline = `<line class="grid" x1="${LEFT}" x2="${columnOf(samples.length)}" y1="${y + LANE}" y2="${y + LANE}"/>`
  const steps = samples.flatMap(({ event }, i) => {
    if (event.actor.name !== name) return []
    const isBroken = violation !== undefined && i === samples.length - 1
    const kind = isBroken ? 'broken' : classOf(event)
    return [
      `<rect class="${kind}" x="${columnOf(i) + 1}" y="${y}" width="${COLUMN - 2}" height="${LANE}"><title>${escaped(tooltip(event))}</title></rect>`,
      ...label(event, i),
    ]
  })
  return [laneName(name, y), baseline, ...steps]
}

function classOf({ actor, place }: StepEvent): string {
  if (actor.kind === 'device') return 'device'
  if (actor.kind !== 'vcpu') return 'environment'
  return place === 'guest' ? 'guest' : 'host'
}

function tooltip({ time, actor, place, what, accesses }: StepEvent): string {
  const lines = accesses.map((access) => `${access.direction} ${access.name} ${describeAccess(access)}`)
  return [`${time}: ${actor.name} ${place} ${what}`, ...lines].join('\n')
}

/** Of a step that a reader looks for: what devices, guests and the environment do, and halts. */
function label(event: StepEvent, i: number): string[] {
  const { actor, place, what } = event
  const isTold =
    actor.kind !== 'vcpu' || place === 'guest' || /sleep|block|enters the guest|runnable|gets cpu/.test(what)
  if (!isTold) return []
  const x = columnOf(i) + COLUMN - 2
  const y = TOP - GAP
  const text = what.length > 26 ? `${what.slice(0, 25)}…` : what
  return [`<text class="label" x="${x}" y="${y}" transform="rotate(-60 ${x} ${y})">${escaped(text)}</text>`]
}

type Lane = (y: number) => string[]

/** What a PE runs, its virtual lines, and its list registers that are ever valid. */
function* peLanes(samples: readonly Sample[], pes: readonly PeSample[]): Iterable<Lane> {
  for (const [cpu, { listRegisters }] of pes.entries()) {
    const pe = ({ after }: Sample): PeSample => after.pes[cpu]
    yield bars(samples, `cpu${cpu}`, (sample) => {
      const { vcpu, inGuest } = pe(sample)
      if (vcpu < 0) return undefined
      return inGuest ? [`vcpu${vcpu}: guest`, 'runs-guest'] : [`vcpu${vcpu}`, 'runs']
    })
    if (samples.some((sample) => pe(sample).vpe?.residency)) {
      yield bars(samples, `cpu${cpu} vPE`, (sample) => {
        const { residency = 0, name = '' } = pe(sample).vpe ?? {}
        return residency === 0 ? undefined : [`${name} ${residencyTexts[residency]}`, 'runs']
      })
    }
    for (const line of ['virq', 'vfiq'] as const) {
      if (samples.some((sample) => pe(sample)[line]))
        yield wave(samples, `cpu${cpu} ${line}`, (each) => pe(each)[line])
    }
    for (const n of listRegisters.keys()) {
      if (!samples.some((sample) => LR_State(pe(sample).listRegisters[n][1]) !== 0)) continue
      yield bars(samples, `cpu${cpu} LR${n}`, (sample) => {
        const [low, high] = pe(sample).listRegisters[n]
        const state = LR_State(high)
        if (state === 0) return undefined
        return [`${intidName(low)} ${listRegisterStates[state]}`, state === 1 ? 'pending' : 'active']
      })
    }
  }
}

/** Bars with a text and a class, from the column after a step to that of the step that changes it. */
function bars(
  samples: readonly Sample[],
  name: string,
  value: (sample: Sample) => readonly [text: string, kind: string] | undefined,
): Lane {
  const found: { text: string; kind: string; from: number; to: number }[] = []
  for (const [i, sample] of samples.entries()) {
    const is = value(sample)
    const last = found.at(-1)
    if (!is) continue
    if (last?.text === is[0] && last.to === i) last.to = i + 1
    else found.push({ text: is[0], kind: is[1], from: i, to: i + 1 })
  }
  return (y) => [
    laneName(name, y),
    ...found.flatMap(({ text, kind, from, to }) => {
      const width = (to - from) * COLUMN
      const fits = text.length * 6 <= width
      const bar = `<rect class="${kind}" x="${columnOf(from)}" y="${y}" width="${width}" height="${LANE}"><title>${escaped(text)}</title></rect>`
      return fits
        ? [bar, `<text class="label" x="${columnOf(from) + 4}" y="${y + LANE - 7}">${escaped(text)}</text>`]
        : [bar]
    }),
  ]
}

function wave(samples: readonly Sample[], name: string, isHigh: (sample: Sample) => boolean): Lane {
  return (y) => {
    const points = samples.flatMap((sample, i) => {
      const level = isHigh(sample) ? y + 3 : y + LANE - 3
      return [`${columnOf(i)},${level}`, `${columnOf(i + 1)},${level}`]
    })
    return [laneName(name, y), `<polyline class="wave" points="${points.join(' ')}"/>`]
  }
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
