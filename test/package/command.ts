/** The command `vgic` of the installed package, as a user's shell has it. */

interface Ran {
  readonly status: number | null
  readonly output: string
}

/** What a user types, with the status and a part of what is printed. */
const SESSIONS: readonly (readonly [args: readonly string[], status: number, prints: string])[] = [
  [['--help'], 0, 'vgic SUBCOMMAND'],
  [['--version'], 0, '0.'],
  [['decode', 'ICH_LR0_EL2', '0x50a0000000000028'], 0, 'pending SPI 40 prio 0xa0 group 1'],
  [['decode', 'S3_4_C12_C12_0', '0x50a0000000000028', '--json'], 0, '"Priority": 160'],
  [['encode', 'ICH_VMCR_EL2', 'VPMR=0xf0', 'VENG1=1'], 0, '0xf000000a'],
  [['encode', 'ICH_VMCR_EL2', 'VPNR=1'], 2, 'did you mean VPMR?'],
  [['explore', 'stale-shadow.mjs', '--invariants', 'S11'], 1, 'violated: stale-shadow (S11)'],
  [['explore', 'stale-shadow.mjs', '--invariants', 'S17'], 0, 'holds'],
  [['museum', '--help'], 0, 'vgic museum'],
  [['bench', '--help'], 0, 'vgic bench'],
  [['conformance', 'ich.jsonl.gz'], 0, 'failed 0'],
]

/** Runs the sessions; throws an error that shows the first that went otherwise. */
export async function checkCommand(run: (args: readonly string[]) => Promise<Ran>): Promise<string> {
  for (const [args, status, prints] of SESSIONS) {
    const ran = await run(args)
    if (ran.status !== status || !ran.output.includes(prints)) {
      throw new Error(`vgic ${args.join(' ')} exited with ${ran.status} and printed:\n${ran.output}`)
    }
  }
  const explored = await run(['explore', 'stale-shadow.mjs', '--invariants', 'S11'])
  const [, token = ''] = /vgic replay .* '(.+)'/.exec(explored.output) ?? []
  const replayed = await run(['replay', 'stale-shadow.mjs', token])
  if (replayed.status !== 0 || !replayed.output.includes('vcpu0'))
    throw new Error(`vgic replay printed:\n${replayed.output}`)
  return `${SESSIONS.length + 2} sessions`
}
