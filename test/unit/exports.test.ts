/** The types that the entry points export. */
import path from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(__dirname, '../..');
const ENTRIES = ['index', 'mock/index', 'flash/index', 'doe/index', 'record/index', 'pslse/index'];

let checker: ts.TypeChecker;
/** By entry point and name: what the name stands for. */
const entries = new Map<string, Map<string, ts.Symbol>>();

beforeAll(() => {
  const files = ENTRIES.map((entry) => path.join(root, 'dist', `${entry}.d.ts`));
  const program = ts.createProgram(files, {
    strict: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    types: ['node'],
    typeRoots: [path.join(root, 'node_modules/@types')],
  });
  checker = program.getTypeChecker();
  for (const [index, file] of files.entries()) {
    const symbol = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    const found = new Map<string, ts.Symbol>();
    for (const each of checker.getExportsOfModule(symbol)) {
      const alias = (each.flags & ts.SymbolFlags.Alias) !== 0;
      found.set(each.name, alias ? checker.getAliasedSymbol(each) : each);
    }
    entries.set(ENTRIES[index]!, found);
  }
}, 120_000);

/** The optional properties of an interface that do not accept undefined. */
function withoutUndefined(type: ts.Symbol): string[] {
  const declared = checker.getDeclaredTypeOfSymbol(type);
  return checker
    .getPropertiesOfType(declared)
    .filter((property) => {
      const declaration = property.declarations?.find(ts.isPropertySignature);
      if (declaration?.questionToken === undefined) return false;
      const node = declaration.type;
      const parts = node !== undefined && ts.isUnionTypeNode(node) ? node.types : [];
      return !parts.some((part) => part.kind === ts.SyntaxKind.UndefinedKeyword);
    })
    .map((property) => property.name);
}

describe('the exported names', () => {
  it('have one meaning: two entry points that export a name export the same thing', () => {
    const meanings = new Map<string, ts.Symbol>();
    const different: string[] = [];
    for (const found of entries.values()) {
      for (const [name, symbol] of found) {
        const known = meanings.get(name);
        if (known === undefined) meanings.set(name, symbol);
        else if (known !== symbol) different.push(name);
      }
    }
    expect(different).toEqual([]);
    expect(meanings.get('AbortError')).toBeDefined();
    expect(meanings.size).toBeGreaterThan(100);
  });

  it('AbortError and CxlError are exported by every entry point whose calls reject with them', () => {
    for (const entry of ['index', 'flash/index', 'doe/index']) {
      expect([...entries.get(entry)!.keys()]).toEqual(
        expect.arrayContaining(['AbortError', 'CxlError']),
      );
    }
  });

  it('of options: every one that is optional accepts undefined, under exactOptionalPropertyTypes', () => {
    const missing: string[] = [];
    let count = 0;
    for (const found of entries.values()) {
      for (const [name, symbol] of found) {
        if (!/(Options|Spec|Expectation|Faults)$/.test(name)) continue;
        count += 1;
        for (const property of withoutUndefined(symbol)) missing.push(`${name}.${property}`);
      }
    }
    expect([...new Set(missing)]).toEqual([]);
    expect(count).toBeGreaterThan(20);
  });
});
