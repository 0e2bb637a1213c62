// The ESM entry point. It re-exports the CommonJS one, so that both give the same instance.
export * from './index.js';
