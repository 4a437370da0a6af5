/** Who watches what a driver does with an ITS, where somebody does: src/gic/barriers. */
export interface DriverWatch {
  /** Carries out the command that an ITS has fetched. Returns its end. */
  execute(its: number): number
  /** A device sends a message to an ITS that is enabled. */
  message(its: number, deviceId: number, eventId: number): void
}
