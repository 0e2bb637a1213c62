/** What the documents say of files is true, and the compiler takes every program in them. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import { blocks, documents, guides, root, scratchFolder, textOf } from './documents';

const scratch = scratchFolder('documents');
afterAll(() => rmSync(scratch, { recursive: true }));

/** Without code, in which brackets mean something else. */
const prose = (document: string) =>
  textOf(document)
    .replaceAll(/^```.*?^```$/gms, '')
    .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]()]/g, ' '));

/** The links of a document to files, as paths from the root. */
function links(document: string): { link: string; file: string; anchor: string | undefined }[] {
  return [...prose(document).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(
    ([, link = '']) => {
      const [to = '', anchor] = link.split('#');
      const file = to === '' ? document : path.posix.join(path.posix.dirname(document), to);
      return { link, file: file.replace(/\/$/, ''), anchor };
    },
  );
}

/** The anchors of a document's headings, as code hosts make them. */
const anchors = (document: string) =>
  [...prose(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );

const { files } = JSON.parse(textOf('package.json')) as { files: string[] };
const shippedAlways = ['README.md', 'LICENSE', 'package.json'];

/** Whether npm packs a file, by `files` of package.json. */
function isShipped(file: string): boolean {
  if (shippedAlways.includes(file)) return true;
  return files.some((pattern) => {
    const [folder = '', rest] = pattern.split('*');
    if (rest === undefined) return file === pattern || file.startsWith(`${pattern}/`);
    return file.startsWith(folder) && file.endsWith(rest);
  });
}

describe('the documents', () => {
  it('have links to files and headings that exist', () => {
    const broken = documents.flatMap((document) =>
      links(document)
        .filter(({ file, anchor }) => {
          if (!existsSync(path.join(root, file))) return true;
          return anchor !== undefined && !(file.endsWith('.md') && anchors(file).includes(anchor));
        })
        .map(({ link }) => `${document}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it('that the package contains link to what it contains', () => {
    const shipped = documents.filter(isShipped);
    expect(shipped).toEqual(expect.arrayContaining(['README.md', ...guides]));
    const missing = shipped.flatMap((document) =>
      links(document)
        .filter(({ file }) => !isShipped(file))
        .map(({ link }) => `${document}: ${link}`),
    );
    expect(missing).toEqual([]);
  });

  it('of lib that are guides are in the README and in lib/README.md', () => {
    for (const index of ['README.md', 'lib/README.md']) {
      const linked = links(index).map(({ file }) => file);
      expect([index, guides.filter((guide) => !linked.includes(guide))]).toEqual([index, []]);
    }
  });
});

/** What a part of a program takes for granted, where it does not declare it. */
const ASSUMED: Record<string, string> = {
  cxl: "import { cxl } from 'node-cxl';",
  context: "declare const context: import('node-cxl').Context;",
  signal: 'declare const signal: AbortSignal;',
};

/** A block in TypeScript, which may be a part of a program, as a module. */
function moduleOf(text: string): string {
  const assumed = Object.entries(ASSUMED).filter(
    ([name]) => new RegExp(`\\b${name}\\b`).test(text) && !declares(text, name),
  );
  return [...assumed.map(([, line]) => line), text, 'export {};'].join('\n');
}

const declares = (text: string, name: string) =>
  new RegExp(`\\b(const|let|using|import \\{[^}]*|function) ${name}\\b`).test(text);

describe('the programs in the documents', { timeout: 120_000 }, () => {
  it('are taken by the compiler with --strict', () => {
    const sources = new Map<string, string>();
    for (const [index, document] of documents.entries()) {
      const folder = path.join(scratch, String(index));
      mkdirSync(folder);
      for (const [at, { name, language, text }] of blocks(document, 'js', 'ts').entries()) {
        const other = `block-${at}.${language === 'js' ? 'mjs' : 'mts'}`;
        const file = path.join(folder, name ?? other);
        writeFileSync(file, language === 'ts' ? moduleOf(text) : text);
        sources.set(file, `${document}, block ${at + 1}`);
      }
    }
    const program = ts.createProgram([...sources.keys()], {
      strict: true,
      noEmit: true,
      allowJs: true,
      checkJs: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ['node'],
      typeRoots: [path.join(root, 'node_modules/@types')],
    });
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
      const where = file === undefined ? '' : (sources.get(file.fileName) ?? file.fileName);
      const line = file?.text.slice(start).split('\n')[0];
      return `${where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}: ${line}`;
    });
    expect(problems).toEqual([]);
    expect(sources.size).toBeGreaterThan(30);
  });
});
