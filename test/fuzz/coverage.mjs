// Which code of the modules under test has run, by V8's precise coverage of blocks.
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';

const UNKNOWN = 0;
const MISSED = 1;
const COVERED = 2;

/** To be made before the modules are loaded: V8 counts in what it compiles from then on. */
export class Coverage {
  #session = new Session();
  #isCounted;
  /** Of each counted module by its file: one state for each character of its source. */
  #modules = new Map();

  /** @param isCounted which modules count, by their files */
  constructor(isCounted) {
    this.#isCounted = isCounted;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /**
   * The characters that have run since the last take() and never before, as `file:offset`; from now
   * on they count as covered.
   */
  take() {
    const fresh = [];
    for (const [file, run] of this.#ran()) {
      const states = this.#statesOf(file, run.length);
      for (let at = 0; at < run.length; at += 1) {
        if (run[at] <= states[at]) continue;
        if (run[at] === COVERED) fresh.push(`${file}:${at}`);
        states[at] = run[at];
      }
    }
    return fresh;
  }

  /** What has run since the last take(), among these; nothing of it counts as covered by this. */
  among(positions) {
    const ran = new Map(this.#ran());
    return positions.filter((position) => {
      const colon = position.lastIndexOf(':');
      return ran.get(position.slice(0, colon))?.[Number(position.slice(colon + 1))] === COVERED;
    });
  }

  /** Of each module: lines with code, those of which all has run, and the others' numbers. */
  report() {
    return [...this.#modules].map(([file, states]) => {
      const source = readFileSync(file, 'utf8');
      const missed = [];
      let lines = 0;
      let start = 0;
      for (const [index, line] of source.split('\n').entries()) {
        const within = states.subarray(start, start + line.length);
        start += line.length + 1;
        const isCode = (state, at) => state !== UNKNOWN && /[^\s{}();,]/.test(line[at]);
        if (!within.some(isCode)) continue;
        lines += 1;
        if (within.some((state, at) => state === MISSED && isCode(state, at)))
          missed.push(index + 1);
      }
      return { file, lines, covered: lines - missed.length, missed };
    });
  }

  *#ran() {
    const { result } = this.#post('Profiler.takePreciseCoverage');
    for (const { url, functions } of result) {
      if (!url.startsWith('file:')) continue;
      const file = fileURLToPath(url);
      if (!this.#isCounted(file)) continue;
      const end = Math.max(...functions.map(({ ranges }) => ranges[0].endOffset));
      const states = new Uint8Array(Math.max(end, this.#modules.get(file)?.length ?? 0));
      // An inner range comes after the outer one, and says more.
      for (const { functionName, ranges, isBlockCoverage } of functions) {
        // The module itself, which runs once, when it is loaded.
        if (functionName === '' && ranges[0].startOffset === 0) continue;
        if (!isBlockCoverage && ranges[0].count === 0 && this.#modules.has(file)) continue;
        for (const { startOffset, endOffset, count } of ranges) {
          states.fill(count > 0 ? COVERED : MISSED, startOffset, endOffset);
        }
      }
      yield [file, states];
    }
  }

  #statesOf(file, length) {
    const known = this.#modules.get(file);
    if (known !== undefined && known.length >= length) return known;
    const states = new Uint8Array(length);
    if (known !== undefined) states.set(known);
    this.#modules.set(file, states);
    return states;
  }

  #post(method, parameters) {
    let answer;
    // Of one's own process, the callback is called before post() returns.
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw Object.assign(new Error(method), { cause: error });
      answer = result;
    });
    return answer;
  }
}
