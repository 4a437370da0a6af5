/** The forms in which a run is shown. */
import type { Run } from 'vgic/scenario'

/** By the name of the format. */
export const pictures = {
  timeline: (run: Run): string => run.timeline(),
} as const

export const isFormat = (name: string): name is keyof typeof pictures => Object.hasOwn(pictures, name)
