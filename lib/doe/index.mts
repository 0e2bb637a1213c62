// The ESM face of the same instance: a CommonJS module is evaluated once, however it is reached.
export * from './index.js';
