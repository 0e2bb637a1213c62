/**
 * The examples in documentation comments: every exported class and function has one; all compile
 * under --strict; each runs on a mock of its own, and prints what its comments say.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(__dirname, '../..');
const ENTRIES = ['index', 'mock/index', 'flash/index', 'doe/index', 'record/index', 'pslse/index'];

/** Examples that need what a test does not have, and the code of the error that they end with. */
const REJECTED: Record<string, string> = {
  // A PSLSE daemon.
  createPslseCxl: 'ECONNREFUSED',
};

/** Runs each module with its own mock as `cxl`, and prints what each printed, or its error. */
const RUNNER = `
import { writeFileSync } from 'node:fs';
import { format } from 'node:util';
import { mockFromConfig, setGlobalSystem } from 'node-cxl/mock';

const [names, answer] = [JSON.parse(process.argv[2]), process.argv[3]];
const results = {};
for (const name of names) {
  const lines = [];
  console.log = (...args) => lines.push(format(...args));
  const before = setGlobalSystem(mockFromConfig());
  try {
    await import('./' + name + '.mjs');
    results[name] = { lines };
  } catch (error) {
    results[name] = { lines, code: error.code, error: String(error.stack) };
  }
  before.restore();
}
writeFileSync(answer, JSON.stringify(results));
process.exit(0);
`;

interface Result {
  lines: string[];
  code?: string;
  error?: string;
}

/** By the name of what it is an example of. */
const examples = new Map<string, string>();
/** Exported classes and functions, by entry point. */
const exported: string[] = [];
/** Within the package, so that examples find it by its name. */
let scratch: string;

function declarationFiles(): string[] {
  return ENTRIES.map((entry) => path.join(root, 'dist', `${entry}.d.ts`));
}

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
  types: ['node'],
  typeRoots: [path.join(root, 'node_modules/@types')],
};

/** Both programs read each declaration file once. */
const host = ts.createCompilerHost(OPTIONS, true);
const readFile = host.getSourceFile;
const read = new Map<string, ts.SourceFile | undefined>();
host.getSourceFile = (name, ...rest) => {
  if (!read.has(name)) read.set(name, readFile(name, ...rest));
  return read.get(name);
};

/** The names of a declaration and of what it is in: `Context.attach`. */
function fullName(node: ts.Node): string {
  const own = ts.getNameOfDeclaration(node as ts.Declaration)?.getText() ?? '';
  const outer = ts.isClassElement(node) ? `${fullName(node.parent)}.` : '';
  return outer + own;
}

function collect(): void {
  const program = ts.createProgram(declarationFiles(), OPTIONS, host);
  const checker = program.getTypeChecker();
  const visit = (node: ts.Node): void => {
    for (const tag of ts.getJSDocTags(node)) {
      if (tag.tagName.text !== 'example' || tag.parent.parent !== node) continue;
      const code = ts.getTextOfJSDocComment(tag.comment) ?? '';
      examples.set(fullName(node), code);
    }
    ts.forEachChild(node, visit);
  };
  for (const file of program.getSourceFiles()) {
    if (file.fileName.startsWith(path.join(root, 'dist'))) visit(file);
  }
  const kinds = ts.SymbolFlags.Class | ts.SymbolFlags.Function;
  for (const file of declarationFiles()) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
    for (const each of checker.getExportsOfModule(module)) {
      const alias = (each.flags & ts.SymbolFlags.Alias) !== 0;
      const symbol = alias ? checker.getAliasedSymbol(each) : each;
      if ((symbol.flags & kinds) !== 0) exported.push(symbol.name);
    }
  }
}

/** What an example says that it prints: the comments after its console.log() lines. */
function promised(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\).*; \/\/ (.+)$/gm)].map(([, text]) => text as string);
}

/** Whether `lines` has all of `wanted`, in their order. */
function has(lines: string[], wanted: string[]): boolean {
  let found = 0;
  for (const line of lines) if (line === wanted[found]) found += 1;
  return found === wanted.length;
}

beforeAll(() => {
  collect();
  mkdirSync(path.join(root, 'build'), { recursive: true });
  scratch = mkdtempSync(path.join(root, 'build/examples-'));
  for (const [name, code] of examples) {
    writeFileSync(path.join(scratch, `${name}.mts`), `${code}\nexport {};\n`);
  }
}, 60_000);

afterAll(() => rmSync(scratch, { recursive: true }));

describe('the examples in documentation comments', { timeout: 60_000 }, () => {
  it('are there for every exported class and function', () => {
    expect(exported.length).toBeGreaterThan(90);
    expect(exported.filter((name) => !examples.has(name))).toEqual([]);
    expect(new Set(examples.values()).size).toBe(examples.size);
  });

  it('compile, and print on the mock what they say', () => {
    const names = [...examples.keys()];
    const files = names.map((name) => path.join(scratch, `${name}.mts`));
    const program = ts.createProgram(files, OPTIONS, host);
    expect(ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host)).toBe('');
    program.emit();
    writeFileSync(path.join(scratch, 'run.mjs'), RUNNER);
    const answer = path.join(scratch, 'results.json');
    execFileSync(process.execPath, ['run.mjs', JSON.stringify(names), answer], {
      cwd: scratch,
      env: { ...process.env, NODE_CXL_BACKEND: 'mock' },
      timeout: 30_000,
    });
    const results = JSON.parse(readFileSync(answer, 'utf8')) as Record<string, Result>;
    const wrong = [...examples].flatMap(([name, code]): object[] => {
      const { lines, code: rejected, error } = results[name]!;
      if (rejected !== REJECTED[name]) return [{ name, error: error ?? 'it did not fail' }];
      const wanted = promised(code);
      return rejected !== undefined || has(lines, wanted) ? [] : [{ name, wanted, lines }];
    });
    expect(wrong).toEqual([]);
    expect([...examples.values()].flatMap(promised).length).toBeGreaterThan(50);
  });
});
