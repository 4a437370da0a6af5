/** The processes that measure, and the processors that they are kept on. */
import { describe, expect, it } from 'vitest'
import { ANY_PROCESSOR, listed, processors } from '../../../bench/processors.ts'
import { Responder } from '../../../bench/responder.ts'

/** A process that runs a script of JavaScript. */
const running = (script: string): Responder => new Responder(process.execPath, '--eval', script)

/** One that answers a line with what an expression makes of `line`. */
const answering = (expression: string): Responder =>
  running(
    `require('readline').createInterface(process.stdin).on('line', (line) => process.stdout.write(${expression}))`,
  )

describe('a process that measures', () => {
  it('answers each line, also with two answers at once', async () => {
    const child = answering("line === 'a' ? '1 2 x' : '\\n3 4 y 5 6 7\\n'")
    const answers = await Promise.all([child.ask('a'), child.ask('b')])
    child.end()
    expect(answers).toEqual([
      { ns: 1, cpuNs: 2, checksum: 'x', bytes: 0, scavenges: 0, pageFaults: 0 },
      { ns: 3, cpuNs: 4, checksum: 'y', bytes: 5, scavenges: 6, pageFaults: 7 },
    ])
  })

  it.each(['1 2', '1 two x', '1 2 x 5 six', '1 2 x 5 6 seven', ''])(
    'has not answered with %j',
    async (answer) => {
      const child = answering(`'${answer}\\n'`)
      await expect(child.ask('a')).rejects.toThrow('no answer of a process that measures')
      child.end()
    },
  )

  it('has failed if it ends, for all that wait and for all that ask later', async () => {
    const child = running('process.stdin.once("data", () => process.exit(3))')
    const outcomes = await Promise.allSettled([child.ask('a'), child.ask('b')])
    outcomes.push(...(await Promise.allSettled([child.ask('c')])))
    const reason: unknown = expect.objectContaining({
      message: expect.stringMatching(/it has ended with 3\.$/),
    })
    expect(outcomes).toEqual(Array(3).fill({ status: 'rejected', reason }))
  })

  it('has failed if there is no such program', async () => {
    const child = new Responder('/there/is/none')
    await expect(child.ask('a')).rejects.toThrow('/there/is/none: it does not run: spawn')
  })
})

describe('the processors', () => {
  it('are some, and the same each time', () => {
    expect(processors().length).toBeGreaterThan(0)
    expect(processors()).toBe(processors())
  })

  it('are those of a list of Linux', () => {
    expect(listed('0-2,5,7-8')).toEqual([0, 1, 2, 5, 7, 8])
  })

  it.skipIf(processors()[0] === ANY_PROCESSOR)('are where a process that is kept on one stays', async () => {
    const child = answering(
      "'1 2 ' + /Cpus_allowed_list:\\s*(\\S+)/.exec(require('fs').readFileSync('/proc/self/status'))[1] + '\\n'",
    )
    await child.ask('started')
    const last = processors()[processors().length - 1]
    child.stayOn(last)
    const { checksum } = await child.ask('where')
    child.end()
    expect(checksum).toBe(`${last}`)
  })
})
