// `npm run test:trace`: the page that `node-cxl trace --html` makes, in Chromium without a display:
// whether it draws, zooms, searches and shows details, and how long its frames take with 100,000
// items. An argument is a folder that the screenshots are left in.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { root } from '../../lib/build/files.mjs';
import { installPrograms } from '../../lib/build/programs.mjs';
import { recordInterrupts } from './programs.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-trace-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const [screenshots = folder] = process.argv.slice(2);
mkdirSync(screenshots, { recursive: true });

/** Milliseconds: 95 of 100 frames are drawn within this, also on a busy machine. */
const FRAME = 100;
const WIDTH = 1400;
/** Pixels of the page: names of lanes, and where the first lane begins below the axis. */
const LABELS = 190;
const AXIS = 34;
const ROW = 20;

let passed = 0;
let failed = 0;

async function check(what, body) {
  try {
    const said = await body();
    passed += 1;
    console.log(`ok   ${what}${said ? `: ${said}` : ''}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${what}: ${error.message}`);
  }
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Makes the page of a recording. Returns its address. */
function makePage(recording, mayFail = false) {
  const file = `${recording}.html`;
  const args = [path.join(root, 'dist/cli/main.js'), 'trace', recording, '--html', file];
  try {
    execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    if (!mayFail) throw error;
  }
  return pathToFileURL(file).href;
}

installPrograms(['chromium']);
const small = path.join(folder, 'small.cxlrec');
const large = path.join(folder, 'large.cxlrec');
await recordInterrupts(small, 5, 8);
await recordInterrupts(large, 1000, 50);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

/** What is shown about the item that was clicked. */
async function detailsOf(page) {
  must(!(await page.$eval('#details', (element) => element.hidden)), 'no details are shown');
  return page.$eval('#details', (element) => element.innerText);
}

/** What the page loaded, and what went wrong in it. */
async function open(address) {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 720 } });
  const requests = [];
  const errors = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(address);
  await page.waitForSelector('#chart[data-to]');
  return { page, requests, errors };
}

/** The microseconds at the edges of what is seen, when the page has drawn. */
async function view(page) {
  await page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(done))));
  return page.$eval('#chart', ({ dataset }) => [Number(dataset.from), Number(dataset.to)]);
}

/** How many pixels of a lane have the color of calls. */
function pixels(page, lane, color) {
  return page.evaluate(
    ([top, height, wanted]) => {
      const canvas = document.querySelector('canvas');
      const { data } = canvas
        .getContext('2d')
        .getImageData(0, top * devicePixelRatio, canvas.width, height * devicePixelRatio);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (wanted.every((value, index) => data[at + index] === value)) count += 1;
      }
      return count;
    },
    [AXIS + lane * ROW, ROW, color],
  );
}

const CALL = [0x35, 0x72, 0xb0];
/** recording, memory, sysfs, afu1.0s#1 … */
const CONTEXT_LANE = 3;

/** Where the middle of a bar is on the page: of a call in the lane of the first context. */
async function middleOf(page, start, end) {
  const [from, to] = await view(page);
  const box = await page.locator('.u-over').boundingBox();
  const x = box.x + (((start + end) / 2 - from) / (to - from)) * box.width;
  return [x, box.y + CONTEXT_LANE * ROW + ROW / 2];
}

const { page, requests, errors } = await open(makePage(small));
const attach = execFileSync(
  process.execPath,
  [path.join(root, 'dist/cli/main.js'), 'trace', small, '--json', '--call', 'START_WORK'],
  { encoding: 'utf8' },
)
  .split('\n')
  .map((line) => line && JSON.parse(line))[0];

await check('the page draws a lane for each context, and loads nothing', async () => {
  must(requests.length === 1, `it loaded ${requests.join(', ')}`);
  must(errors.length === 0, errors.join(', '));
  const count = await pixels(page, CONTEXT_LANE, CALL);
  must(count > 500, `${count} pixels of calls`);
  must((await pixels(page, CONTEXT_LANE + 10, CALL)) === 0, 'calls where no lane is');
  await page.screenshot({ path: path.join(screenshots, 'all.png') });
  return page.$eval('#facts', (element) => element.textContent);
});

await check('a click on a bar shows details', async () => {
  const { time, duration } = attach;
  await page.mouse.click(...(await middleOf(page, time, time + duration)));
  const text = await detailsOf(page);
  for (const part of ['ioctl(START_WORK', 'afu1.0s#1', 'workElementDescriptor=', 'block at byte']) {
    must(text.includes(part), `no ${part} in: ${text}`);
  }
  await page.mouse.click(WIDTH / 2, 560);
  must(
    await page.$eval('#details', (element) => element.hidden),
    'still there after a click beside',
  );
});

await check('zooms by button, wheel, keys and dragging, and back', async () => {
  const whole = await view(page);
  const length = ([from, to]) => to - from;
  const near = (value, wanted) => Math.abs(value / wanted - 1) < 0.05;
  await page.click('#in');
  const half = await view(page);
  must(near(length(half), length(whole) / 2), `by the button: ${length(half)}`);
  await page.mouse.move(LABELS + 300, 300);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -500);
  await page.keyboard.up('Control');
  const wheel = await view(page);
  must(length(wheel) < length(half) * 0.6, `by the wheel: ${length(wheel)}`);
  await page.keyboard.down('Shift');
  await page.mouse.wheel(0, 300);
  await page.keyboard.up('Shift');
  const moved = await view(page);
  must(near(length(moved), length(wheel)) && moved[0] > wheel[0], `moved to ${moved}`);
  await page.keyboard.press('w');
  must(length(await view(page)) < length(moved), 'not by the key w');
  await page.click('#all');
  must(near(length(await view(page)), length(whole)), 'not back by All');
  await page.mouse.move(LABELS + 200, 400);
  await page.mouse.down();
  await page.mouse.move(LABELS + 500, 400, { steps: 4 });
  await page.mouse.up();
  const dragged = length(await view(page)) / length(whole);
  must(near(dragged, 300 / (WIDTH - LABELS)), `by dragging: ${dragged}`);
  await page.keyboard.press('0');
  must(near(length(await view(page)), length(whole)), 'not back by the key 0');
});

await check('searches: counts, goes from match to match, shows each', async () => {
  const matches = () => page.$eval('#matches', (element) => element.textContent);
  await page.fill('#query', 'start_work');
  must((await matches()) === '2 matches', await matches());
  await page.press('#query', 'Enter');
  must((await matches()) === '1 of 2 matches', await matches());
  for (let count = 0; count < 6; count += 1) await page.click('#in');
  await page.press('#query', 'Enter');
  must((await matches()) === '2 of 2 matches', await matches());
  const details = await detailsOf(page);
  must(details.includes('afu1.0s#2'), details);
  const [from, to] = await view(page);
  const time = execFileSync(
    process.execPath,
    [
      ...[path.join(root, 'dist/cli/main.js'), 'trace', small, '--json'],
      ...['--call', 'START_WORK', '--context', 'afu1.0s#2'],
    ],
    { encoding: 'utf8' },
  );
  const { time: start } = JSON.parse(time);
  must(start >= from && start <= to, `the match at ${start} is outside ${from} to ${to}`);
  await page.fill('#query', 'no such call');
  must((await matches()) === '0 matches', await matches());
  await page.fill('#query', '');
  must((await matches()) === '', await matches());
});

await check('an interrupt has an arrow to its delivery and the next call', async () => {
  await page.fill('#query', 'interrupt 1');
  await page.press('#query', 'Enter');
  const details = await detailsOf(page);
  must(/reaction\s+from interrupt 1 to read64 0x0: [\d.]+ (µs|ms)/.test(details), details);
  await page.keyboard.press('Escape');
  for (let count = 0; count < 4; count += 1) await page.click('#in');
  await page.screenshot({ path: path.join(screenshots, 'interrupt.png') });
  await page.fill('#query', '');
  const arrows = await pixels(page, CONTEXT_LANE + 1, [0xbc, 0x4c, 0x00]);
  must(arrows > 5, `${arrows} pixels of arrows in the lane of events`);
});

await check('says what of a recording could not be read', async () => {
  const damaged = path.join(folder, 'damaged.cxlrec');
  const bytes = readFileSync(small);
  writeFileSync(damaged, bytes.subarray(0, bytes.length - 40));
  const other = await open(makePage(damaged, true));
  const text = await other.page.$eval('#problems', (element) => element.innerText);
  must(text.includes('the recording ends here without its end'), text);
  await other.page.close();
});

await check('100,000 items scroll smoothly', async () => {
  const { page: busy } = await open(makePage(large));
  const facts = await busy.$eval('#facts', (element) => element.textContent);
  const count = Number(/([\d,]+) items/.exec(facts)[1].replaceAll(',', ''));
  must(count > 100_000, `only ${count} items`);
  const figures = [];
  for (const zoom of [0, 4, 8]) {
    await busy.click('#all');
    for (let times = 0; times < zoom; times += 1) await busy.click('#in');
    const frames = await busy.evaluate(async () => {
      const over = document.querySelector('.u-over');
      const target = { clientX: 600, clientY: 300, bubbles: true, cancelable: true };
      const times = [];
      let last;
      for (let frame = 0; frame < 90; frame += 1) {
        const deltaX = frame % 60 < 30 ? 40 : -40;
        over.dispatchEvent(new WheelEvent('wheel', { ...target, deltaX }));
        const now = await new Promise(requestAnimationFrame);
        if (last !== undefined) times.push(now - last);
        last = now;
      }
      return times.sort((a, b) => a - b);
    });
    const at = (share) => frames[Math.floor(frames.length * share)];
    figures.push(`zoom 2^${zoom}: median ${at(0.5).toFixed(1)} ms, 95% ${at(0.95).toFixed(1)} ms`);
    must(at(0.95) <= FRAME, figures.join('; '));
  }
  await busy.click('#all');
  await view(busy);
  await busy.screenshot({ path: path.join(screenshots, 'large.png') });
  return `${count} items; frames, ${figures.join('; ')}`;
});

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
