/** `npm run screenshot`, after `npm run site`: the picture of the playground that the README shows. */
import { writeFileSync } from 'node:fs'
import { findChromium, withChromium } from './chromium.ts'
import { indexedPng } from './indexed-png.ts'
import { openPlayground, sitePage } from './site.ts'

/** Entry 04 where the notifier makes the vPE resident, whose doorbell the thread has asked for. */
const VIEW = '#scenario=04&step=43'
const PICTURE = 'docs/pictures/playground.png'

const executable = findChromium()
if (executable === undefined) throw new Error('There is no chromium on PATH.')
await withChromium(executable, async (browser) => {
  const { page } = await sitePage(browser, { scheme: 'light', width: 1280, height: 800 })
  await openPlayground(page, VIEW)
  await page.waitForSelector('#verdict b')
  writeFileSync(PICTURE, await indexedPng(browser, await page.screenshot()))
})
