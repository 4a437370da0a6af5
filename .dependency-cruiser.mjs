/**
 * Which room may import from which: one way, from the facts up to what people run. `npm run rooms` checks it;
 * docs/architecture.md has the rooms' sentences, and the picture that `npm run pages` draws.
 */

/** The layers, each of which knows those before it only. */
const layers = ['errors', 'arch', 'state', 'gic', 'hyp', 'scenario', 'explore', 'testing', 'bench']

/** The rooms of the silicon and of the hypervisor, in the same way; their other files put them together. */
const rooms = {
  gic: [
    'records',
    'config',
    'frames',
    'interrupts',
    'lpi',
    'vpe',
    'its',
    'distributor',
    'cpu-interface',
    'barriers',
  ],
  hyp: ['records', 'host', 'guest', 'vgic', 'run'],
}

/** Beside each other, above the file that puts the hypervisor together. */
const onTop = ['explain', 'userspace']

const src = (names) => `^src/(${names.join('|')})(/|\\.ts$)`

const oneWay = (order, prefix = '') =>
  order.slice(0, -1).map((name, i) => ({
    name: `${prefix}${name}-knows-nothing-above`,
    severity: 'error',
    from: { path: `^src/${prefix}${name}/` },
    to: { path: `^src/${prefix}(${order.slice(i + 1).join('|')})/` },
  }))

export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    ...oneWay(layers),
    ...oneWay(rooms.gic, 'gic/'),
    ...oneWay([...rooms.hyp, ...onTop], 'hyp/'),
    {
      name: 'a-room-of-the-silicon-does-not-know-what-puts-it-together',
      severity: 'error',
      from: { path: '^src/gic/[^/]+/' },
      to: { path: '^src/gic/[^/]+\\.ts$' },
    },
    {
      name: 'a-room-of-the-hypervisor-does-not-know-what-puts-it-together',
      severity: 'error',
      from: { path: `^src/hyp/(${rooms.hyp.join('|')})/` },
      to: { path: '^src/hyp/[^/]+\\.ts$' },
    },
    {
      name: 'entry-points-are-for-users',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: src(['index', 'scenario', 'explore', 'worker']).replace('(/|\\.ts$)', '\\.ts$') },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    includeOnly: '^src/',
  },
}
