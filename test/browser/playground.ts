/** The playground in headless Chromium, as its readers use it. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, Page } from 'playwright-core'
import { BrowserError, withChromium } from './chromium.ts'
import { openPlayground, sitePage } from './site.ts'

const WIDE = { width: 1280, height: 800 } as const
/** Long enough for any host: what does not come by then does not come. */
const PATIENCE = 120_000

const SLEEPER = `import { scenario } from 'vgic/scenario'
export default scenario('a WFI that nobody ends').vm({ vcpus: 1 }).guest(0, (guest) => guest.wfi())
export const bounds = { own: [{ name: 'never-sleeps', says: 'No vCPU sleeps.',
  check: (machine) => machine.stateOf(machine.actors[0]) === 'asleep' ? 'vcpu0 sleeps' : undefined }] }
`
const ENDLESS = 'for (;;) {}'

/** Runs the check; returns what was done. Throws a {@link BrowserError} that says what the page did instead. */
export const checkPlayground = (executablePath: string): Promise<string> =>
  withChromium(executablePath, async (browser) => {
    for (const [what, act] of readers) await asReader(browser, what, act)
    for (const scheme of ['light', 'dark'] as const) await checkAccessibility(browser, scheme)
    return `${readers.length} readers, axe in 2 colour schemes`
  })

async function asReader(browser: Browser, what: string, act: (page: Page) => Promise<void>): Promise<void> {
  const { page, complaints } = await sitePage(browser, { scheme: 'light', ...WIDE })
  page.setDefaultTimeout(PATIENCE)
  try {
    await act(page)
    if (complaints.length > 0) throw new BrowserError(complaints.join('\n'))
  } catch (error) {
    throw new BrowserError(`The playground, ${what}: ${error instanceof Error ? error.message : error}`)
  } finally {
    await page.close()
  }
}

/** Each with a page of their own. */
const readers: readonly (readonly [what: string, act: (page: Page) => Promise<void>])[] = [
  ['entry 04, its end and its link', followsLink],
  ['step by step', steps],
  ['with the keyboard alone', typesOnly],
  ['a text of their own', writesText],
  ['a text that somebody has sent', getsText],
  ['stops', stops],
  ['a damaged link', followsDamagedLink],
]

async function followsLink(page: Page): Promise<void> {
  await openPlayground(page)
  await verdict(page, /^Violated: lost-doorbell \(L2\)/)
  await page.selectOption('#scenario', '04')
  await verdict(page, /^Violated: lost-doorbell \(L2\)/)
  await page.click('#first')
  await page.click('#last')
  const { at, row } = await position(page)
  expect('the last row', row.class, 'violated')
  await page.click('#back')
  await page.click('#back')
  await page.click('#share')
  await until(page, `location.hash.endsWith('step=${at - 2}')`)
  const before = await position(page)
  const link = await page.evaluate<string>('location.hash')
  await openPlayground(page, link)
  await verdict(page, /^Violated: lost-doorbell \(L2\).*replayed/)
  expect('the step of the link', JSON.stringify(await position(page)), JSON.stringify(before))
  await page.evaluate("location.hash = '#scenario=21&step=7'")
  await until(page, "document.querySelector('#verdict').textContent.includes('lost-interrupt (L3)')")
  expect('the step of the other link', (await position(page)).at, 7)
}

async function steps(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=01')
  await verdict(page, /^Violated: lost-wake-up|^Violated: stale-shadow/)
  const height = await page.evaluate<number>('document.documentElement.scrollHeight')
  expect('a document that scrolls', height > WIDE.height, false)
  await page.click('#first')
  const places = await cardPlaces(page)
  const { last } = await position(page)
  for (let step = 1; step <= last; step++) {
    await page.keyboard.press('ArrowRight')
    const { at } = await position(page)
    expect('the step', at, step)
    if (step > 1) expect(`changes in step ${step}`, (await page.locator('#state .changed').count()) > 0, true)
  }
  expect('where the cards are after the last step', await cardPlaces(page), places)
  await page.keyboard.press('Home')
  await page.keyboard.press('ArrowRight')
  const marked = await page.locator('#design .current').textContent()
  const title = await page.locator('#step h2').textContent()
  expect(`the marked line of ${title}`, title?.includes(marked?.trim() ?? '?'), true)
  expect('the source', /src\/hyp\/run\/[\w-]+\.ts:\d+/.test((await page.textContent('#source')) ?? ''), true)
}

async function typesOnly(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=01')
  await verdict(page, /^Violated/)
  await tabTo(page, 'scenario')
  await page.keyboard.type('21')
  await verdict(page, /^Violated: lost-interrupt \(L3\)/)
  await tabTo(page, 'explore')
  await page.keyboard.press('Enter')
  await verdict(page, /^Violated: lost-interrupt \(L3\)/)
  const { last } = await position(page)
  const presses: [string, number][] = [
    ['Home', 0],
    ['j', 1],
    ['ArrowRight', 2],
    ['k', 1],
    ['ArrowLeft', 0],
    ['PageDown', 10],
    ['PageUp', 0],
    ['End', last],
  ]
  for (const [key, at] of presses) {
    await page.keyboard.press(key)
    expect(`the step after ${key}`, (await position(page)).at, at)
  }
  await tabTo(page, 'timeline-tab')
  await page.keyboard.press('ArrowRight')
  await tabTo(page, 'text')
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(SLEEPER)
  await page.keyboard.press('Control+Enter')
  await verdict(page, /^Violated: never-sleeps \(own\)\.Here: vcpu0 sleeps/)
}

async function writesText(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=01')
  await verdict(page, /^Violated/)
  await page.selectOption('#scenario', 'text')
  await page.click('#explore')
  await verdict(page, /^Violated: stale-shadow \(S11\)/)
  await page.click('#text-tab')
  const wrong: [string, RegExp][] = [
    ['export default 1', /^Failed\.The text must export a scenario/],
    ['export default (', /^Failed\.SyntaxError/],
    [
      "\n\nimport { scenario } from 'vgic/scenario'\nscenario('x').vm({ vcpus: 0 })",
      /^Failed\.Line 4: VgicError: vcpus must be/,
    ],
    ["import 'vgic/workers'", /^Failed\.The page has vgic, .* and not vgic\/workers/],
  ]
  for (const [text, message] of wrong) {
    await page.click('#text-tab')
    await page.fill('#text', text)
    await page.click('#explore')
    await verdict(page, message)
  }
}

async function getsText(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=01')
  await verdict(page, /^Violated/)
  await page.click('#text-tab')
  await page.fill('#text', SLEEPER)
  await page.keyboard.press('Control+Enter')
  await verdict(page, /^Violated: never-sleeps/)
  await page.click('#share')
  await until(page, "location.hash.includes('text=')")
  const link = await page.evaluate<string>('location.hash')
  await openPlayground(page, link)
  await until(page, "document.querySelector('#notice').textContent.includes('brings a text')")
  expect('the text', await page.inputValue('#text'), SLEEPER)
  expect('a verdict before the reader agrees', await page.textContent('#verdict'), '')
  await page.click('#explore')
  await verdict(page, /^Violated: never-sleeps/)
}

async function stops(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=29&side=good&preemptions=9&ticks=9&migrations=9')
  await until(page, "/^exploring: .* states/.test(document.querySelector('#progress').textContent)")
  await page.click('#stop')
  await verdict(page, /^Bounded: nothing was found\.Stopped/)
  await page.click('#text-tab')
  await page.fill('#text', ENDLESS)
  await page.click('#explore')
  await page.click('#stop')
  await verdict(page, /^Failed\.Stopped/)
  await page.selectOption('#scenario', '21')
  await page.check('[value="bug"]')
  await verdict(page, /^Violated: lost-interrupt/)
}

async function followsDamagedLink(page: Page): Promise<void> {
  await openPlayground(page, '#scenario=04&token=nonsense')
  await verdict(page, /^Failed\.VgicError/)
  await openPlayground(page, '#scenario=999')
  await verdict(page, /^Failed\.The museum has no entry 999/)
  await openPlayground(page, '#text=%25%25')
  await verdict(page, /^Failed\.The text of this link is damaged/)
}

/** Waits until the page is done; what it says then must match. */
async function verdict(page: Page, expected: RegExp): Promise<void> {
  await until(page, "document.querySelector('#verdict b') && document.querySelector('#stop').disabled")
  const said = (await page.textContent('#verdict')) ?? ''
  if (!expected.test(said)) throw new BrowserError(`it says ${said}, and not ${expected}`)
}

/** Waits until an expression is so. The page's policy forbids waitForFunction, which evaluates there by itself. */
async function until(page: Page, expression: string): Promise<void> {
  const begun = performance.now()
  while (!(await page.evaluate<boolean>(`Boolean(${expression})`))) {
    if (performance.now() - begun > PATIENCE) throw new BrowserError(`it never comes to ${expression}`)
    await page.waitForTimeout(20)
  }
}

interface Position {
  readonly at: number
  readonly last: number
  readonly row: { readonly class: string; readonly text: string }
}

const position = (page: Page): Promise<Position> =>
  page.evaluate<Position>(`(() => {
    const [at, last] = document.querySelector('#count').textContent.split(' / ').map(Number)
    const row = document.querySelector('#timeline [aria-selected="true"]')
    return { at, last, row: { class: row.className, text: row.textContent } }
  })()`)

const cardPlaces = (page: Page): Promise<string> =>
  page.evaluate<string>(
    "[...document.querySelectorAll('.card dd, .card dt')].map((card) => card.offsetTop).join()",
  )

/** Presses Tab until an element has the focus. */
async function tabTo(page: Page, id: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    if ((await page.evaluate<string>('document.activeElement.id')) === id) return
    await page.keyboard.press('Tab')
  }
  throw new BrowserError(`Tab does not come to #${id}`)
}

function expect(what: string, is: unknown, expected: unknown): void {
  if (is !== expected) throw new BrowserError(`${what} is ${is}, and not ${expected}`)
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string
    readonly help: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

/** By axe-core: contrast, names, roles, what can be reached by keyboard; of the timeline and of the editor. */
async function checkAccessibility(browser: Browser, scheme: 'light' | 'dark'): Promise<void> {
  const { page } = await sitePage(browser, { scheme, ...WIDE })
  page.setDefaultTimeout(PATIENCE)
  // Only colours are others in the dark.
  const options = {
    resultTypes: ['violations'],
    ...(scheme === 'dark' && { runOnly: ['color-contrast'] }),
  }
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  try {
    await openPlayground(page, '#scenario=21&step=20')
    await verdict(page, /^Violated/)
    await page.evaluate(axe)
    for (const tab of ['#timeline-tab', '#text-tab']) {
      await page.click(tab)
      const { violations } = await page.evaluate<AxeResult>(`axe.run(${JSON.stringify(options)})`)
      const [first] = violations
      if (first) {
        const where = first.nodes.map(({ html }) => html).join('\n')
        throw new BrowserError(
          `The playground in ${scheme} with ${tab}: ${first.id}, ${first.help}:\n${where}`,
        )
      }
    }
  } finally {
    await page.close()
  }
}
