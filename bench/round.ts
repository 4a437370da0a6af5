/** TEMPORARY: one scenario a process; reads iteration counts on stdin. argv: scenario, live machines (1 or 3). */
import { createInterface } from 'node:readline'
import { designs } from 'vgic/scenario'
import { HotPath, machineOf } from './hot-path.ts'

const [scenario, live] = process.argv.slice(2).map(Number)
const others =
  live === 3
    ? [new HotPath(machineOf(2, designs.hooks)), new HotPath(machineOf(16, designs.vmcrOnDemandFlag))]
    : []
const path = new HotPath(machineOf(4))
const warm = live === 3 ? [1, 2, 3, 4, 5] : [scenario]
for (let r = 0; r < 3; r++) {
  for (const other of others) for (const s of warm) other.run(s, 50_000)
  for (const s of warm) path.run(s, 100_000)
}
createInterface({ input: process.stdin }).on('line', (line) => {
  const n = Number(line)
  for (const other of others) other.run(scenario, 1000)
  const fresh = new HotPath(machineOf(4))
  const before = process.memoryUsage().heapUsed
  const t = performance.now()
  const sum = fresh.run(scenario, n)
  const ns = ((performance.now() - t) * 1e6) / n
  console.log(`${ns.toFixed(2)} ${sum} ${((process.memoryUsage().heapUsed - before) / n).toFixed(3)}`)
})
