/** What `npm run build` does to the declarations that the bundler has made. */
import { describe, expect, it } from 'vitest'
import { finished } from '../../tools/declarations.ts'

describe('the declarations of the package', () => {
  it('let a program import vgic/testing that has no fast-check', () => {
    const text = "import fc from 'fast-check';\nimport { G as Gic } from './gic.js';\n"
    expect(finished(text)).toBe(`// @ts-ignore: fast-check need not be installed.\n${text}`)
  })

  it('say of a member of a namespace what they say of the constant that it is', () => {
    const put = '/**\n * vcpu_put of the vGIC.\n */\ndeclare const put: Step;\n'
    const load = '/** vcpu_load of the vGIC. */\ndeclare function load(): Step;\n'
    const members = 'declare const steps_load: typeof load;\ndeclare const steps_put: typeof put;\n'
    expect(finished(put + load + members)).toBe(
      `${put}${load}/** vcpu_load of the vGIC. */\ndeclare const steps_load: typeof load;\n/**\n * vcpu_put of the vGIC.\n */\ndeclare const steps_put: typeof put;\n`,
    )
  })

  it('are not made of constants that nothing says anything of', () => {
    const text = '/** Another. */\ndeclare const put: Step;\ndeclare const load: Step;\n'
    expect(() => finished(`${text}declare const steps_load: typeof load;\n`)).toThrow(
      'load has no doc comment',
    )
  })
})
