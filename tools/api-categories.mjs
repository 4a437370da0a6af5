/**
 * A plugin of typedoc's: the members of each entry by what they are for. Hundreds of names in the order of the alphabet are
 * no overview. Which category a name has is a matter of the file that declares it.
 */
import { Comment, CommentTag } from 'typedoc'

/** The categories, in the order in which pages have them, each with the files that it is for. */
const CATEGORIES = {
  'The device': [
    'gic/{gic,gic-summary}.ts',
    'gic/config/{config,choices,its-config,memory}.ts',
    'gic/cpu-interface/{output-lines,interrupt-masks}.ts',
  ],
  'What the host hears': [
    'gic/config/{host-events,access-events,missing-barriers,translation-faults,unpredictable}.ts',
  ],
  'Why no interrupt comes': [
    'gic/{explain-interrupt,explain-msi,interrupt-reasons,msi-reasons}.ts',
    'hyp/explain/{explain,delivery-reasons}.ts',
  ],
  'The state, to look at': [
    'gic/{interrupt-state,cpu-state,dump}.ts',
    'gic/its/{inspect-tables,inspect-vpes}.ts',
    'gic/vpe/vpes.ts',
    'state/{image,machine-state}.ts',
  ],
  'Registers and commands in words': [
    'arch/{registers,register-value,field,frame-registers,command-value,sysreg,intid,syndrome}.ts',
  ],
  'System registers': ['arch/{icc-registers,ich-registers,icv-registers,hcr-el2}.ts'],
  Errors: ['errors/vgic-error.ts'],
  Scenarios: ['scenario/{builder,scenario-config,symmetric,guest-builder,guest-its,device-builder}.ts'],
  'Runs and machines': ['scenario/{run,scenario-machine,machine,inspection}.ts'],
  'Steps that were taken': ['scenario/step-events.ts', 'hyp/host/seam.ts'],
  Pictures: ['scenario/pictures/{mermaid,perfetto,samples,svg,vcd}.ts'],
  Designs: ['hyp/run/{baselines,design,designs,edit,halt,public-steps,step}.ts'],
  'What an exit costs': ['hyp/host/cost.ts', 'hyp/records/exits.ts', 'bench/cases.ts'],
  'A VM whose guests run elsewhere': [
    'hyp/userspace/{virtual-machine,virtual-machine-config,virtual-machine-summary,guest-list-registers}.ts',
    'hyp/vgic/guest-frames.ts',
    'hyp/records/vcpu.ts',
  ],
  "Saving a VM's interrupts": ['hyp/userspace/{save-restore,its-mappings}.ts'],
  Exploring: ['explore/{bounds,exploration,random}.ts'],
  Counterexamples: ['explore/{replay,minimise}.ts'],
  Invariants: ['explore/{invariants,invariant-names}.ts'],
  'Known bugs': ['explore/museum/{museum,entry}.ts'],
  'On several cores and machines': ['explore/{merge-reports,part-of-pool}.ts', 'workers.ts'],
  Assertions: ['testing/expectations.ts'],
  'Golden vectors': ['testing/vectors.ts'],
  'Random accesses, guests and devices': ['testing/arbitraries.ts'],
}

/** The files that a pattern names: `a/{b,c}.ts`. */
function filesOf(pattern) {
  const [, head, names, tail] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? []
  return names === undefined ? [pattern] : names.split(',').map((name) => `${head}${name}${tail}`)
}

const categoryOf = new Map(
  Object.entries(CATEGORIES).flatMap(([category, patterns]) =>
    patterns.flatMap(filesOf).map((file) => [`src/${file}`, category]),
  ),
)

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.on('bootstrapEnd', () => {
    app.options.setValue('categoryOrder', Object.keys(CATEGORIES))
    // Methods that are no part of the API have it, for the build: tools/calls.ts.
    app.options.setValue('modifierTags', [...app.options.getValue('modifierTags'), '@noinline'])
  })
  // Before typedoc's own plugin reads the tags.
  app.converter.on('resolveBegin', ({ project }) => categorise(app, project), 1000)
}

/**
 * @param {import('typedoc').Application} app
 * @param {import('typedoc').ProjectReflection} project
 */
function categorise(app, project) {
  for (const member of (project.children ?? []).flatMap((entry) => entry.children ?? [])) {
    const target = member.isReference() ? member.getTargetReflectionDeep() : member
    const file = project.getSymbolIdFromReflection(target)?.packagePath
    const category = categoryOf.get(file ?? '')
    if (category === undefined)
      app.logger.warn(`tools/api-categories.mjs has no category for ${member.name} of ${file}`)
    else tag(member.signatures?.[0] ?? member, category)
  }
}

function tag(reflection, text) {
  reflection.comment ??= new Comment()
  reflection.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text }]))
}
