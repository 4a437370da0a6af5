/**
 * Every call that the library's types offer: exported functions, and the constructors, methods and static methods of
 * exported classes and interfaces, but for what is marked as internal. Read from the types, so that none is forgotten.
 */
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** A call, such as `Gic.readMmio`, with the names of its parameters. */
export interface PublicCall {
  readonly name: string
  readonly parameters: readonly string[]
}

const sourceOf = (entry: string): string => fileURLToPath(new URL(`../../src/${entry}.ts`, import.meta.url))

/** The calls of some entry points that have parameters. */
export function publicCalls(entries: readonly string[]): PublicCall[] {
  const program = ts.createProgram(entries.map(sourceOf), {
    allowImportingTsExtensions: true,
    lib: ['lib.es2022.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: [],
  })
  const checker = program.getTypeChecker()
  const found = new Map<string, PublicCall>()
  const note = (name: string, declaration: ts.SignatureDeclarationBase): void => {
    const parameters = declaration.parameters.map((parameter) => parameter.name.getText())
    // Of overloads the first: the last one of a constructor is its implementation.
    if (parameters.length > 0 && !found.has(name)) found.set(name, { name, parameters })
  }
  const visit = (prefix: string, symbol: ts.Symbol): void => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    if (target.flags & ts.SymbolFlags.Module) {
      for (const member of checker.getExportsOfModule(target)) visit(`${prefix}${symbol.name}.`, member)
      return
    }
    for (const declaration of target.declarations ?? []) {
      const name = prefix + symbol.name
      if (ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)) {
        for (const member of membersOf(declaration)) if (isPublic(member)) noteMember(name, member)
      } else if (ts.isFunctionDeclaration(declaration)) note(name, declaration)
      else if (ts.isVariableDeclaration(declaration)) {
        for (const { declaration: called } of checker.getTypeAtLocation(declaration).getCallSignatures())
          note(name, called as ts.SignatureDeclarationBase)
      }
    }
  }
  /** Its own, and those that it inherits of a class that is not exported. */
  const membersOf = (owner: ts.ClassDeclaration | ts.InterfaceDeclaration) => [
    ...owner.members,
    ...checker
      .getPropertiesOfType(checker.getTypeAtLocation(owner))
      .flatMap(({ declarations = [] }) => declarations)
      .filter((member) => ts.isClassElement(member) && !exported.has(member.parent))
      .map((member) => member as ts.ClassElement),
  ]
  const noteMember = (owner: string, member: ts.ClassElement | ts.TypeElement): void => {
    if (ts.isConstructorDeclaration(member)) note(`new ${owner}`, member)
    if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member))
      note(`${owner}.${member.name.getText()}`, member)
  }
  const symbols = entries.flatMap((entry) => {
    const source = program.getSourceFile(sourceOf(entry))
    const module = source && checker.getSymbolAtLocation(source)
    return module ? checker.getExportsOfModule(module) : []
  })
  const exported = new Set<ts.Node>(
    symbols.flatMap((symbol) => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      return target.declarations ?? []
    }),
  )
  for (const symbol of symbols) visit('', symbol)
  return [...found.values()]
}

function isPublic(member: ts.Node): boolean {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  if (ts.getCombinedModifierFlags(member as ts.Declaration) & hidden) return false
  return !ts.getJSDocTags(member).some(({ tagName }) => tagName.text === 'internal')
}
