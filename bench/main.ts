import { HotPath, machineOf } from './hot-path.ts'

for (const s of [1, 2, 3, 4, 5]) {
  const h = new HotPath(machineOf(4))
  h.run(s, 300000)
  const n = 2000000
  const out: string[] = []
  for (let r = 0; r < 4; r++) {
    const fresh = new HotPath(machineOf(4))
    const t = performance.now()
    const sum = fresh.run(s, n)
    out.push(`${(((performance.now() - t) * 1e6) / n).toFixed(1)} ${sum}`)
  }
  console.log(s, out.join(' | '))
}
