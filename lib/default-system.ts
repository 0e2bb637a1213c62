import { chooseBinding } from './backend';
import { Cxl } from './device/cxl';

/**
 * The system that programs use: this machine's cards, or a mock where NODE_CXL_BACKEND is `mock`
 * or `mock:FILE.json`.
 */
export const cxl = new Cxl(chooseBinding);
