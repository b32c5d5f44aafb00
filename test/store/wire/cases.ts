/** All cases of the wire. */
import type { WireCase } from './case.js';
import { LIST_CASES } from './cases-list.js';
import { MULTIPART_CASES } from './cases-multipart.js';
import { READ_CASES } from './cases-read.js';
import { WRITE_CASES } from './cases-write.js';

export const WIRE_CASES: readonly WireCase[] = [
  ...READ_CASES,
  ...WRITE_CASES,
  ...LIST_CASES,
  ...MULTIPART_CASES,
];
