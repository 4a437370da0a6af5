/** The forms in which a run is shown. */
import { type PictureViolation, type Run, toMermaid, toPerfetto, toSvg, toVcd } from 'vgic/scenario'

type Picture = (run: Run, violation?: PictureViolation) => string

const options = (violation: PictureViolation | undefined) => (violation === undefined ? {} : { violation })

export type Format = 'timeline' | 'mermaid' | 'perfetto' | 'vcd' | 'svg'

/** By the name of the format. */
export const pictures: Readonly<Record<Format, Picture>> = {
  timeline: (run) => run.timeline(),
  mermaid: (run, violation) => toMermaid(run, options(violation)),
  perfetto: (run, violation) => JSON.stringify(toPerfetto(run, options(violation))),
  vcd: (run, violation) => toVcd(run, options(violation)),
  svg: (run, violation) => toSvg(run, options(violation)),
}

export const isFormat = (name: string): name is Format => Object.hasOwn(pictures, name)
