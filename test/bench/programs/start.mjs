// Milliseconds of require('node-cxl') and of the first open().
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const before = performance.now();
const { cxl } = require('node-cxl');
const required = performance.now();
const context = await cxl.open(process.env.CXL_DEVICE ?? '/dev/cxl/afu0.0s');
const opened = performance.now();
await context.close();
console.log(JSON.stringify({ require: required - before, open: opened - required }));
