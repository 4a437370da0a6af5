/** A plugin of typedoc's: a document is called what its first heading says, and not by its file. */

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on('createDocument', (_, document) => {
    const text = document.content.map((part) => part.text).join('')
    document.name = /^# (.+)$/m.exec(text)?.[1] ?? document.name
  })
}
