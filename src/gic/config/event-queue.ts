/**
 * Events of the access under way, for a listener that is called once it is complete; empty between accesses. A guest can
 * cause tens of thousands in one access, so none is moved when another was delivered.
 */
export class EventQueue<Event> {
  private readonly events: Event[] = []
  /** How many of them were delivered. */
  private delivered = 0

  constructor(private readonly listener: (event: Event) => void) {}

  /** The last one that was not delivered; undefined if all were. */
  get last(): Event | undefined {
    return this.delivered < this.events.length ? this.events.at(-1) : undefined
  }

  add(event: Event): void {
    this.events.push(event)
  }

  /**
   * Calls the listener with each, in order. What it does may add events, and deliver those that are left; if it throws, they
   * are delivered after the next access.
   */
  deliver(): void {
    if (this.events.length === 0) return
    while (this.delivered < this.events.length) this.listener(this.events[this.delivered++])
    this.events.length = 0
    this.delivered = 0
  }
}
