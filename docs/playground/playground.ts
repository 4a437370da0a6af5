/** The page: what is chosen, what was found, and which step is shown. All of it but the worker's part. */
import { readAddress, writeAddress } from './address.ts'
import { byId, make } from './dom.ts'
import type { Answer, EntryFacts, Film, Finding, Overrides, Side, StepSource, Subject } from './messages.ts'
import { packed, unpacked } from './packing.ts'
import { StateView } from './state-view.ts'
import { StepView } from './step-view.ts'
import { FIRST_TEXT, textOfEntry } from './texts.ts'
import { TimelineView } from './timeline-view.ts'
import { WorkerClient } from './worker-client.ts'

const OWN_TEXT = 'text'
/** What the page opens with: the bug with the star. */
const FIRST_ENTRY = '04'
const LIMITS = ['preemptions', 'ticks', 'migrations'] as const
/** Steps that PageUp and PageDown go. */
const PAGE = 10

class Playground {
  private readonly scenario = byId('scenario', HTMLSelectElement)
  private readonly sides = byId('sides', HTMLFieldSetElement)
  private readonly shortest = byId('shortest', HTMLInputElement)
  private readonly stop = byId('stop', HTMLButtonElement)
  private readonly text = byId('text', HTMLTextAreaElement)
  private readonly position = byId('position', HTMLInputElement)
  private readonly count = byId('count', HTMLOutputElement)
  private readonly notice = byId('notice', HTMLElement)
  private readonly progress = byId('progress', HTMLElement)
  private readonly timeline = new TimelineView(byId('timeline', HTMLElement), (frame) => this.goTo(frame))
  private readonly state = new StateView(byId('state', HTMLElement))
  private readonly step: StepView
  private readonly client: WorkerClient
  private entries: readonly EntryFacts[] = []
  private film: Film | undefined
  private finding: Finding | undefined
  private frame = 0
  /** The step that an address asks for, until its film is there. */
  private wanted: number | undefined
  /** The schedule that an address has brought with a text, until that is explored. */
  private broughtToken: string | undefined
  private ownText = FIRST_TEXT
  private writing: ReturnType<typeof setTimeout> | undefined

  constructor(sources: Readonly<Record<string, StepSource>>) {
    this.step = new StepView(byId('step', HTMLElement), sources)
    byId('state', HTMLElement).tabIndex = 0
    this.listen()
    this.client = new WorkerClient({
      onMuseum: (entries) => this.listMuseum(entries),
      onAnswer: (answer) => this.hear(answer),
    })
  }

  private listen(): void {
    byId('setup', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      this.begin()
    })
    this.scenario.addEventListener('change', () => this.choose())
    this.sides.addEventListener('change', () => this.begin())
    this.stop.addEventListener('click', () => this.client.stop())
    this.text.addEventListener('input', () => this.edited())
    this.text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.begin()
    })
    this.position.addEventListener('input', () => this.goTo(this.position.valueAsNumber))
    for (const [id, to] of Object.entries(MOVES)) {
      byId(id, HTMLButtonElement).addEventListener('click', () => this.move(to))
    }
    byId('share', HTMLButtonElement).addEventListener('click', () => this.share())
    for (const tab of tabs()) {
      tab.addEventListener('click', () => openTab(tab.id))
      tab.addEventListener('keydown', (event) => {
        if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return
        const other = tabs().find(({ id }) => id !== tab.id)
        if (other) openTab(other.id)
        other?.focus()
        event.stopPropagation()
      })
    }
    document.addEventListener('keydown', (event) => this.onKey(event))
    window.addEventListener('hashchange', () => this.open())
  }

  private onKey(event: KeyboardEvent): void {
    const { target, key } = event
    const isTyping = target instanceof HTMLElement && /^(TEXTAREA|INPUT|SELECT)$/.test(target.tagName)
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return
    const move = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined
    if (!move || !this.film) return
    event.preventDefault()
    this.move(move)
  }

  private listMuseum(entries: readonly EntryFacts[]): void {
    if (this.entries.length > 0) return
    this.entries = entries
    const museum = make('optgroup', '', ...entries.map(({ id, name }) => option(id, `${id} ${name}`)))
    museum.label = 'Museum of bugs'
    this.scenario.replaceChildren(museum, option(OWN_TEXT, 'your own text'))
    this.open()
  }

  /** Shows what the address says. */
  private async open(): Promise<void> {
    const { entry, side, text, token, step, overrides } = readAddress(location.hash)
    const known = this.entries.find(({ id }) => id === entry)
    for (const name of LIMITS) byId(name, HTMLInputElement).value = String(overrides[name] ?? '')
    this.shortest.checked = overrides.shortest === true
    for (const radio of this.radios()) radio.checked = radio.value === side
    this.wanted = step
    if (text !== undefined) {
      await this.openText(text, token)
      return
    }
    if (entry !== undefined && !known) {
      this.fail(`The museum has no entry ${entry}: choose one of the list.`)
      return
    }
    this.scenario.value = known?.id ?? FIRST_ENTRY
    this.describe()
    if (token === undefined) this.begin()
    else this.replay(token)
  }

  /** A text from an address is another's: it runs once the reader says so. */
  private async openText(text: string, token: string | undefined): Promise<void> {
    const plain = await unpacked(text)
    if (plain === undefined) {
      this.fail('The text of this link is damaged.')
      return
    }
    this.ownText = plain
    this.scenario.value = OWN_TEXT
    this.broughtToken = token
    this.describe()
    this.clear('This link brings a text, which has not run. Read it, then press Explore.')
    openTab('text-tab')
    this.note(
      `The link brings a text${token === undefined ? '' : ' and a schedule'}: read it, then press Explore.`,
    )
  }

  private choose(): void {
    this.describe()
    this.broughtToken = undefined
    if (this.scenario.value !== OWN_TEXT) {
      this.begin()
      return
    }
    this.clear('Nothing is explored yet: press Explore.')
    openTab('text-tab')
  }

  /** Shows the chosen entry's story, designs and bounds, and its text. */
  private describe(): void {
    const entry = this.entry()
    this.sides.disabled = !entry
    for (const radio of this.radios())
      radio.title = entry ? entry[radio.value === 'good' ? 'good' : 'bug'] : ''
    this.text.value = entry ? textOfEntry(entry.id, entry.name, entry.invariant) : this.ownText
    for (const name of LIMITS) {
      byId(name, HTMLInputElement).placeholder = entry ? String(entry.bounds[name] ?? 0) : '-'
    }
    byId('story', HTMLElement).textContent = entry
      ? entry.story
      : 'A module of your own, which runs in this browser only.'
  }

  private edited(): void {
    this.ownText = this.text.value
    this.broughtToken = undefined
    if (this.scenario.value === OWN_TEXT) return
    this.scenario.value = OWN_TEXT
    const { value } = this.text
    this.describe()
    this.text.value = value
  }

  private begin(): void {
    const token = this.broughtToken
    this.broughtToken = undefined
    if (token !== undefined) {
      this.replay(token)
      return
    }
    this.waitFor('exploring')
    this.client.ask({ type: 'explore', subject: this.subject(), overrides: this.overrides() })
  }

  private replay(token: string): void {
    this.waitFor('replaying the schedule')
    this.client.ask({ type: 'replay', subject: this.subject(), token })
  }

  private hear(answer: Exclude<Answer, { type: 'museum' }>): void {
    if (answer.type === 'progress') {
      const { states, depth, interventions, perSecond = 0 } = answer.progress
      const facts = [
        `${states.toLocaleString('en')} states`,
        `depth ${depth}`,
        `${interventions} interventions`,
        `${Math.round(perSecond).toLocaleString('en')} steps/s`,
      ]
      this.progress.textContent = `exploring: ${facts.join(', ')}`
      return
    }
    this.stop.disabled = true
    this.progress.textContent = ''
    if (answer.type === 'failed') this.fail(answer.message)
    else this.show(answer.finding, answer.film)
  }

  private show(finding: Finding, film: Film): void {
    this.finding = finding
    this.film = film
    const isViolated = finding.verdict === 'violated'
    this.judge(finding.verdict, ...verdictOf(finding))
    this.timeline.show(film, isViolated)
    this.state.show(film)
    this.step.show(film, this.entry() !== undefined)
    const last = film.frames.length - 1
    this.position.max = String(last)
    const wasWriting = document.activeElement === this.text
    openTab('timeline-tab')
    if (wasWriting) this.timeline.focus()
    const wanted = this.wanted === undefined ? undefined : this.wanted - film.leftOut
    this.wanted = undefined
    this.goTo(wanted ?? (isViolated ? last : 0))
    const left = film.leftOut > 0 ? ` The first ${film.leftOut} steps are not shown.` : ''
    this.note(`${finding.token === undefined ? 'A plain run of ' : ''}${film.design}.${left}`)
  }

  private move(to: Move): void {
    if (this.film) this.goTo(to(this.frame, this.film.frames.length - 1))
  }

  private goTo(frame: number): void {
    const { film } = this
    if (!film) return
    const last = film.frames.length - 1
    this.frame = Math.min(Math.max(frame, 0), last)
    this.timeline.goTo(this.frame)
    this.state.goTo(this.frame)
    this.step.goTo(film, this.frame)
    this.position.value = String(this.frame)
    this.count.textContent = `${film.leftOut + this.frame} / ${film.leftOut + last}`
    clearTimeout(this.writing)
    this.writing = setTimeout(() => this.writeAddress(), 150)
  }

  /** The address is always that of what is shown. */
  private async writeAddress(): Promise<string | undefined> {
    clearTimeout(this.writing)
    const entry = this.entry()
    const text = entry ? undefined : await packed(this.text.value)
    const isTooLong = !entry && text === undefined
    const hash = isTooLong
      ? ''
      : writeAddress({
          entry: entry?.id,
          side: this.side(),
          text,
          token: this.finding?.token,
          step: this.film && this.film.leftOut + this.frame,
          overrides: this.overrides(),
        })
    history.replaceState(null, '', `${location.pathname}${location.search}${hash}`)
    return isTooLong ? undefined : location.href
  }

  private async share(): Promise<void> {
    const address = await this.writeAddress()
    if (address === undefined) {
      this.note('The text is too long for a link: send it as a file.')
      return
    }
    try {
      await navigator.clipboard.writeText(address)
      this.note('The link is on the clipboard.')
    } catch {
      this.note('The address bar has the link.')
    }
  }

  private waitFor(what: string): void {
    this.clear(`${what}...`)
    this.progress.textContent = `${what}...`
    this.stop.disabled = false
    this.note('')
  }

  private fail(message: string): void {
    this.wanted = undefined
    this.clear('Nothing to show.')
    this.progress.textContent = ''
    this.judge('failed', make('b', '', 'Failed.'), message)
  }

  private clear(why: string): void {
    this.film = undefined
    this.finding = undefined
    clearTimeout(this.writing)
    this.timeline.clear(why)
    this.state.clear()
    this.step.clear()
    this.position.max = '0'
    this.count.textContent = ''
    this.judge('')
  }

  private judge(className: string, ...children: readonly (Node | string)[]): void {
    byId('finding', HTMLElement).className = className
    byId('verdict', HTMLElement).replaceChildren(...children)
  }

  private note(text: string): void {
    this.notice.textContent = text
  }

  private entry(): EntryFacts | undefined {
    return this.entries.find(({ id }) => id === this.scenario.value)
  }

  private radios(): HTMLInputElement[] {
    return [...this.sides.querySelectorAll<HTMLInputElement>('input')]
  }

  private side(): Side {
    return this.radios().some(({ value, checked }) => value === 'good' && checked) ? 'good' : 'bug'
  }

  private subject(): Subject {
    const entry = this.entry()
    if (entry) return { kind: 'entry', entry: entry.id, side: this.side() }
    return { kind: 'text', text: this.text.value }
  }

  private overrides(): Overrides {
    const limits = LIMITS.flatMap((name) => {
      const { value, valueAsNumber } = byId(name, HTMLInputElement)
      return value === '' ? [] : [[name, valueAsNumber] as const]
    })
    return { ...Object.fromEntries(limits), ...(this.shortest.checked && { shortest: true }) }
  }
}

type Move = (frame: number, last: number) => number

const MOVES: Readonly<Record<string, Move>> = {
  first: () => 0,
  back: (frame) => frame - 1,
  forward: (frame) => frame + 1,
  last: (_, last) => last,
}

const KEYS: Readonly<Record<string, Move>> = {
  ArrowLeft: MOVES['back'],
  ArrowRight: MOVES['forward'],
  k: MOVES['back'],
  j: MOVES['forward'],
  Home: MOVES['first'],
  End: MOVES['last'],
  PageUp: (frame) => frame - PAGE,
  PageDown: (frame) => frame + PAGE,
}

function option(value: string, text: string): HTMLOptionElement {
  const made = make('option', '', text)
  made.value = value
  return made
}

const tabs = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('[role="tab"]')]

function openTab(id: string): void {
  for (const tab of tabs()) {
    const isOpen = tab.id === id
    tab.setAttribute('aria-selected', String(isOpen))
    tab.tabIndex = isOpen ? 0 : -1
    byId(tab.getAttribute('aria-controls') ?? '', HTMLElement).hidden = !isOpen
  }
}

const HEADS = {
  holds: 'Holds.',
  bounded: 'Bounded: nothing was found.',
  run: 'Nothing is violated by this schedule.',
} as const

function verdictOf({ verdict, rule = '', says = '', what = '', looked }: Finding): (Node | string)[] {
  if (verdict !== 'violated') return [make('b', '', HEADS[verdict]), make('span', 'looked', looked)]
  return [
    make('b', '', `Violated: ${rule}.`),
    make('span', 'what', `Here: ${what}.`),
    make('span', 'says', `The rule: ${says} (${looked})`),
  ]
}

async function begin(): Promise<void> {
  const response = await fetch(new URL('./steps.json', import.meta.url))
  new Playground((await response.json()) as Record<string, StepSource>)
}

begin()
