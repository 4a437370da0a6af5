/**
 * The part script, the job script and the merge of docs/exploring.md, as a user has them, on a cluster: Slurm on this
 * machine alone, in a folder of its own, which is ended again.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sinfo', 'sbatch']
/** How often a cluster that starts is asked whether it is idle, at four times a second. */
const ASKED = 120

/** Why Slurm cannot be started here; undefined if it can. */
export function lacksSlurm(): string | undefined {
  const missing = PROGRAMS.find((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
  if (missing !== undefined) return `no ${missing} on PATH: Debian has slurm-wlm and munge`
  return userInfo().uid === 0 ? undefined : 'Slurm is started as root'
}

/** Explores in a job array, in a project that has the package installed; returns what came out. */
export async function checkSlurm(project: string, folder: string): Promise<string> {
  const { part, job, merge } = scriptsOf(readFileSync('docs/exploring.md', 'utf8'))
  writeFileSync(join(project, 'part.mjs'), part)
  writeFileSync(join(project, 'explore.sh'), job)
  writeFileSync(join(project, 'merge.mjs'), merge)
  const cluster = new Cluster(folder)
  try {
    await cluster.start()
    cluster.run('sbatch', ['--wait', 'explore.sh'], project)
  } finally {
    cluster.end()
  }
  const parts = readdirSync(project).filter((name) => /^part-.*\.json$/.test(name))
  const merged = execFileSync('node', ['merge.mjs'], { cwd: project, encoding: 'utf8' })
  if (parts.length !== 8 || !merged.includes("invariant: 'L2'") || merged.includes('missing'))
    throw new Error(`the job array left ${parts.join(', ')}, and merged they are:\n${merged}`)
  return `${parts.length} tasks of a job array`
}

/** The scripts in the document, by what they do. */
function scriptsOf(text: string): { part: string; job: string; merge: string } {
  const blocks = [...text.matchAll(/^```(?:mjs|sh)\n([\s\S]*?)^```$/gm)].map(([, code]) => code)
  const having = (what: string): string => {
    const found = blocks.find((code) => code.includes(what))
    if (found === undefined) throw new Error(`docs/exploring.md has no script with ${what}`)
    return found
  }
  return { part: having('exploreRandom('), job: having('#SBATCH'), merge: having('mergeReports(') }
}

/** A cluster of one node. */
class Cluster {
  private readonly daemons: ChildProcess[] = []
  private readonly env: NodeJS.ProcessEnv

  constructor(private readonly folder: string) {
    this.env = { ...process.env, SLURM_CONF: join(folder, 'slurm.conf') }
  }

  async start(): Promise<void> {
    const { folder } = this
    for (const name of ['state', 'spool', 'log', 'run'])
      mkdirSync(join(folder, name), { recursive: true, mode: 0o755 })
    const key = join(folder, 'munge.key')
    writeFileSync(key, randomBytes(1024), { mode: 0o400 })
    const socket = join(folder, 'run/munge.socket')
    const files = [`--key-file=${key}`, `--socket=${socket}`, `--log-file=${folder}/log/munged.log`]
    const more = [`--pid-file=${folder}/run/munged.pid`, `--seed-file=${folder}/run/munged.seed`]
    this.daemon('munged', ['--foreground', '--force', ...files, ...more])
    await until(() => existsSync(socket), 'munged')
    writeFileSync(join(folder, 'slurm.conf'), this.configuration(socket))
    this.daemon('slurmctld', ['-D', '-f', join(folder, 'slurm.conf')])
    this.daemon('slurmd', ['-D', '-f', join(folder, 'slurm.conf')])
    await until(() => this.ask('sinfo', ['-h', '-o', '%T']).trim() === 'idle', 'the cluster')
  }

  run(command: string, args: readonly string[], cwd: string): void {
    execFileSync(command, args, { cwd, env: this.env, stdio: 'ignore' })
  }

  end(): void {
    for (const daemon of this.daemons.reverse()) daemon.kill()
  }

  private ask(command: string, args: readonly string[]): string {
    return spawnSync(command, args, { env: this.env, encoding: 'utf8' }).stdout ?? ''
  }

  private daemon(command: string, args: readonly string[]): void {
    this.daemons.push(spawn(command, args, { env: this.env, stdio: 'ignore' }))
  }

  private configuration(socket: string): string {
    const { folder } = this
    const host = hostname().split('.')[0]
    return `ClusterName=vgic
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${socket}
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/run/slurmctld.pid
SlurmdPidFile=${folder}/run/slurmd.pid
SlurmctldLogFile=${folder}/log/slurmctld.log
SlurmdLogFile=${folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
NodeName=${host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=${host} Default=YES MaxTime=INFINITE State=UP
`
  }
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  for (let asked = 0; !isSo(); asked++) {
    if (asked === ASKED) throw new Error(`${what} has not started`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}
