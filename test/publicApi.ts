/**
 * The public surface of presence-effect as text: one block per module and in it
 * every export, read from the syntax alone. Bodies are left out, signatures and
 * fields stay, so that a change of either shows in review.
 */
import ts from "typescript"
import { filesBelow, read } from "./sources.ts"

const library = "packages/presence-effect/src"

export interface ApiExport {
  /** Where it stands, `packages/presence-effect/src/writer/Lane.ts:12`. */
  readonly place: string
  readonly signature: string
  readonly hasSince: boolean
}

export interface ApiModule {
  /** What an importer writes after `presence-effect/`. */
  readonly name: string
  readonly file: string
  readonly hasSince: boolean
  readonly exports: ReadonlyArray<ApiExport>
}

const printer = ts.createPrinter({ removeComments: true })

const hasModifier = (node: ts.Node, kind: ts.SyntaxKind): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some((modifier) => modifier.kind === kind)

const isHidden = (node: ts.Node): boolean =>
  hasModifier(node, ts.SyntaxKind.PrivateKeyword) ||
  (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name))

const halve = (indentation: string): string => indentation.slice(indentation.length / 2)

/** Leaves out what a caller cannot see: bodies, and initializers whose type is written beside them. */
const withoutBodies = (source: ts.SourceFile, node: ts.Node): string => {
  const { factory } = ts
  const body = factory.createIdentifier("…")
  const { transformed } = ts.transform(node, [
    (context) => (rootNode) => {
      const visit: ts.Visitor = (current) => {
        if (ts.isClassElement(current) && isHidden(current)) return undefined
        if (ts.isBlock(current)) return factory.createBlock([])
        if (ts.isArrowFunction(current)) {
          return factory.createArrowFunction(
            current.modifiers,
            current.typeParameters,
            current.parameters,
            current.type,
            current.equalsGreaterThanToken,
            body
          )
        }
        if (ts.isVariableDeclaration(current) && current.type !== undefined) {
          return factory.createVariableDeclaration(current.name, undefined, current.type)
        }
        return ts.visitEachChild(current, visit, context)
      }
      return ts.visitEachChild(rootNode, visit, context)
    }
  ])
  const printed = transformed.map((each) => printer.printNode(ts.EmitHint.Unspecified, each, source)).join("")
  return printed
    .replace(/^export (declare )?/, "")
    .replace(/;$/, "")
    .replace(/^ +/gm, halve)
}

/** `export {}` marks a file as a module and exports nothing. */
const isMark = (statement: ts.Statement): boolean =>
  ts.isExportDeclaration(statement) &&
  statement.exportClause !== undefined &&
  ts.isNamedExports(statement.exportClause) &&
  statement.exportClause.elements.length === 0

const isExport = (statement: ts.Statement): boolean =>
  (ts.isExportDeclaration(statement) && !isMark(statement)) ||
  ts.isExportAssignment(statement) ||
  hasModifier(statement, ts.SyntaxKind.ExportKeyword)

/** The body of an overloaded function: callers see the signatures above it, not this one. */
const isOverloadBody = (statement: ts.Statement, index: number, all: ReadonlyArray<ts.Statement>): boolean => {
  const before = all[index - 1]
  return (
    ts.isFunctionDeclaration(statement) &&
    statement.body !== undefined &&
    before !== undefined &&
    ts.isFunctionDeclaration(before) &&
    before.body === undefined &&
    before.name?.text === statement.name?.text
  )
}

/** The comments before a statement as they stand in the file. */
const commentsBefore = (text: string, node: ts.Node): string =>
  (ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
    .map(({ end, pos }) => text.slice(pos, end))
    .findLast((comment) => comment.startsWith("/**")) ?? ""

const sinceTag = /@since \d+\.\d+\.\d+/

const describeModule = (file: string): ApiModule => {
  const text = read(file)
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  return {
    name: file.slice(library.length + 1).replace(/\.ts$/, ""),
    file,
    hasSince: sinceTag.test(/^\s*(\/\*\*[\s\S]*?\*\/)/.exec(text)?.[1] ?? ""),
    exports: source.statements.flatMap((statement, index, all) => {
      const comment = commentsBefore(text, statement)
      if (!isExport(statement) || isOverloadBody(statement, index, all) || comment.includes("@internal")) return []
      // What is exported again says so at each name, where the documentation generator looks.
      const tags = ts.isExportDeclaration(statement) ? statement.getText(source) : comment
      const { line } = source.getLineAndCharacterOfPosition(statement.getStart(source))
      return [
        { place: `${file}:${line + 1}`, signature: withoutBodies(source, statement), hasSince: sinceTag.test(tags) }
      ]
    })
  }
}

/** A module is a noun in capitals; what is in a folder `internal/` and files with a small first letter are private. */
const isPublic = (file: string): boolean => /\/[A-Z]\w*\.ts$/.test(file) && !file.includes("/internal/")

export const publicModules = (): ReadonlyArray<ApiModule> => filesBelow(library).filter(isPublic).map(describeModule)

/** The text of `test/public-api.txt`. */
export const render = (modules: ReadonlyArray<ApiModule>): string =>
  modules
    .map(({ exports, name }) =>
      [`presence-effect/${name}`, ...exports.map(({ signature }) => signature.replace(/^/gm, "  "))].join("\n")
    )
    .join("\n\n")
    .concat("\n")
