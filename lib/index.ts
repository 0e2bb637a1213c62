export { CxlError } from './errors';
export type { Binding } from './binding';
