/** What a host is told after an access: every event, once, in order. */
import { expect, it } from 'vitest'
import { EventQueue } from '../../../src/gic/config/event-queue.ts'

/** A queue with events 1 and 2; `hears` is what its listener does about an event, and `heard` has those it was told. */
function filled(hears: (event: number, queue: EventQueue<number>) => void) {
  const heard: number[] = []
  const queue = new EventQueue<number>((event) => {
    heard.push(event)
    hears(event, queue)
  })
  queue.add(1)
  queue.add(2)
  return { queue, heard }
}

it('hears of events in order, and of what it causes itself behind them', () => {
  const { queue, heard } = filled((event, own) => {
    if (event === 1) own.add(3)
  })
  queue.deliver()
  expect(heard).toEqual([1, 2, 3])
  expect(queue.last).toBeUndefined()
  queue.deliver()
  expect(heard).toEqual([1, 2, 3])
})

it('hears of what is left once if its own access delivers it', () => {
  const { queue, heard } = filled((_, own) => own.deliver())
  queue.deliver()
  expect(heard).toEqual([1, 2])
})

it('hears of what is left after the next access if it throws', () => {
  const { queue, heard } = filled((event) => {
    if (event === 1) throw new Error('event 1')
  })
  expect(() => queue.deliver()).toThrow('event 1')
  expect(queue.last).toBe(2)
  queue.add(3)
  queue.deliver()
  expect(heard).toEqual([1, 2, 3])
})
