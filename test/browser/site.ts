/** The files of docs/site as a page gets them, from an origin at which nothing listens. */
import { existsSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { BrowserError } from './chromium.ts'

const ROOT = 'docs/site'
const ORIGIN = 'http://vgic.test'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
}

/** How a reader has the page before them. */
export interface Look {
  readonly scheme: 'light' | 'dark'
  readonly width: number
  readonly height: number
}

/** A page of the site, and what went wrong there. */
export interface SitePage {
  readonly page: Page
  /** Errors, messages of the console and requests for what is not there, which are to be none. */
  readonly complaints: string[]
}

/** A page that may take what it likes of the site, and nothing else. */
export async function sitePage(browser: Browser, { scheme, width, height }: Look): Promise<SitePage> {
  const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height } })
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => complaints.push(message.text()))
  await page.route('**/*', async (route) => {
    const { origin, pathname } = new URL(route.request().url())
    const path = join(ROOT, pathname)
    if (origin === ORIGIN && existsSync(path)) {
      return route.fulfill({ contentType: TYPES[extname(path)] ?? 'text/plain', body: readFileSync(path) })
    }
    complaints.push(`It asks for ${route.request().url()}.`)
    return route.fulfill({ status: 404 })
  })
  return { page, complaints }
}

/** The playground, with what an address has behind `#`. */
export async function openPlayground(page: Page, hash = ''): Promise<void> {
  if (!existsSync(join(ROOT, 'playground/index.html')))
    throw new BrowserError('docs/site is missing: npm run site.')
  // An address that differs in its hash alone does not load the page again.
  await page.goto('about:blank')
  await page.goto(`${ORIGIN}/playground/index.html${hash}`)
}
