/** What recorded drivers are told of missing barriers and of UNPREDICTABLE uses. */
import { describe, expect, it } from 'vitest'
import { driverReports } from '../../conformance/driver-reports.ts'
import { readRecording } from '../../conformance/recording.ts'

const reportsOf = (suite: string) => {
  const file = `test/fixtures/${suite}.jsonl.gz`
  return driverReports(
    file,
    readRecording(file, () => undefined),
  )
}

describe('recorded drivers', () => {
  it('of suite drivers, a kernel, its hypervisor and kvm-unit-tests, leave out no barrier', () => {
    expect(reportsOf('drivers')).toEqual([])
  })

  it('of suite its send INTs without a SYNC, and do nothing UNPREDICTABLE', () => {
    const rules = new Set(reportsOf('its').map(({ rule }) => rule))
    expect([...rules].sort()).toEqual(['B1', 'B2', 'B4'])
  })
})
