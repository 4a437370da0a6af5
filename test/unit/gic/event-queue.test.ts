/** What a host is told after an access: every event, once, in order. */
import { expect, it } from 'vitest'
import { EventQueue } from '../../../src/gic/config/event-queue.ts'

function filled(...events: readonly number[]): EventQueue<number> {
  const queue = new EventQueue<number>()
  for (const event of events) queue.add(event)
  return queue
}

it('hears of events in order, and of what it causes itself behind them', () => {
  const queue = filled(1, 2)
  const heard: number[] = []
  const listener = (event: number) => {
    heard.push(event)
    if (event === 1) queue.add(3)
  }
  queue.deliver(listener)
  expect(heard).toEqual([1, 2, 3])
  expect(queue.last).toBeUndefined()
  queue.deliver(listener)
  expect(heard).toEqual([1, 2, 3])
})

it('hears of what is left once if its own access delivers it', () => {
  const queue = filled(1, 2)
  const heard: number[] = []
  const listener = (event: number) => {
    heard.push(event)
    queue.deliver(listener)
  }
  queue.deliver(listener)
  expect(heard).toEqual([1, 2])
})

it('hears of what is left after the next access if it throws', () => {
  const queue = filled(1, 2)
  const heard: number[] = []
  expect(() =>
    queue.deliver((event) => {
      throw new Error(`event ${event}`)
    }),
  ).toThrow('event 1')
  expect(queue.last).toBe(2)
  queue.add(3)
  queue.deliver((event) => heard.push(event))
  expect(heard).toEqual([2, 3])
})
