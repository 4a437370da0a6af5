/**
 * The built ESM bundle in headless Chromium: the page's import map names the files of package.json's `exports`, the
 * page runs the demo's scenarios, and what it shows must be what Node shows. A bundle that needs Node must fail here,
 * which is tried too, with bundles that do.
 */
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium } from 'playwright-core'

/** Answered from the file system; nothing listens there. */
const ORIGIN = 'http://vgic.test'
const PAGE = 'build/test/browser/page.js'
/** What a bundle that needs Node would have somewhere, and what the page must then report. */
const NEEDS_NODE = [
  { code: "import 'node:fs';", reports: /node:fs|dynamically imported module/ },
  { code: 'process.cwd();', reports: /process is not defined/ },
] as const

/** The page did not do what Node does; the message says what it did. */
export class BrowserError extends Error {}

/** Where Chromium is, as Debian's package installs it, or undefined. */
export function findChromium(): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return directories.map((directory) => join(directory, 'chromium')).find((path) => existsSync(path))
}

/** Runs the check; returns what was compared. Throws a {@link BrowserError} if the page shows something else. */
export async function checkBrowser(executablePath: string): Promise<string> {
  const { demo } = (await import(pathToFileURL(PAGE).href)) as { demo(): string }
  const expected = demo()
  return withChromium(executablePath, async (browser) => {
    const shown = await show(browser)
    if (shown !== expected) throw new BrowserError(`Chromium shows\n${shown}\nand Node\n${expected}`)
    for (const { code, reports } of NEEDS_NODE) {
      const reported = await show(browser, code).catch((error: unknown) => String(error))
      if (!reports.test(reported)) throw new BrowserError(`A bundle with ${code} should fail: ${reported}`)
    }
    return `Chromium ${browser.version()}, ${expected.split('\n').length} lines as in Node`
  })
}

/** Starts Chromium, and ends it when `act` is done. */
export async function withChromium<T>(
  executablePath: string,
  act: (browser: Browser) => Promise<T>,
): Promise<T> {
  // Its sandbox does not work for root, which CI is.
  const browser = await chromium.launch({
    executablePath,
    chromiumSandbox: process.getuid?.() !== 0,
    timeout: 0,
  })
  try {
    return await act(browser)
  } finally {
    await browser.close()
  }
}

/** What the page shows. `planted` is code to put before the library's. */
async function show(browser: Browser, planted = ''): Promise<string> {
  const page = await browser.newPage()
  page.setDefaultTimeout(0)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.route('**/*', async (route) => {
    const path = new URL(route.request().url()).pathname.slice(1)
    if (path === '') return route.fulfill({ contentType: 'text/html', body: html() })
    if (extname(path) !== '.js' || !existsSync(path)) return route.fulfill({ status: 404 })
    const source = readFileSync(path, 'utf8')
    const body = path.startsWith('dist/') ? `${planted}${source}` : source
    return route.fulfill({ contentType: 'text/javascript', body })
  })
  try {
    await page.goto(ORIGIN)
    const shown = await page.evaluate<string>(`import('/${PAGE}').then(({ demo }) => demo())`)
    // What the page had left for later, it may still fail in.
    await page.evaluate('new Promise((done) => setTimeout(done, 0))')
    if (errors.length > 0) throw new BrowserError(errors.join('\n'))
    return shown
  } finally {
    await page.close()
  }
}

/** A page whose import map is package.json's `exports`. */
function html(): string {
  const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    name: string
    exports: Record<string, { import?: { default: string } }>
  }
  const imports = Object.entries(exports).flatMap(([entry, target]) =>
    target.import === undefined ? [] : [[join(name, entry), `/${join(target.import.default)}`]],
  )
  return `<!doctype html><script type="importmap">${JSON.stringify({ imports: Object.fromEntries(imports) })}</script>`
}
