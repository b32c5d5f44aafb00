/**
 * Keeps JavaScript's heap near what is in use. By itself V8 leaves garbage until it is worth a collection of a machine that has memory for
 * nothing else: a young generation grows to 3 x 16 MiB (Node 24: 128 MiB), and stays so; an old one to twice or four times what lives.
 * A daemon whose buffers lie elsewhere has few live objects and little to collect. young-generation.ts sets the size of the young generation.
 *
 * Command line options can do the same, but are not looked at once the heap is there, and a `#!` line takes none. What it brought:
 * docs/memory.md.
 */
import { setFlagsFromString } from 'node:v8';
import { growYoungGeneration, watchYoungGeneration } from './young-generation.js';

/** Factor by which the young generation grows when much survives; 1 is not at all. */
const YOUNG_FLAG = '--semi-space-growth-factor=1';

interface HeapFlag {
  readonly flag: string;
  /** Options of Node or V8 by which somebody has decided this already. */
  readonly decidedBy: RegExp;
}

const FLAGS: readonly HeapFlag[] = [
  { flag: YOUNG_FLAG, decidedBy: /semi[-_]space/ },
  /** What the old generation may grow by, beyond what lived at the last full collection, until the next. */
  { flag: '--heap-growing-percent=60', decidedBy: /heap[-_]growing/ },
];

/**
 * Sets the flags, in Node 20 to 24 (measured on 20 and 24), unless Node was started with one for the same thing. Then grows the young generation to
 * its size, and again whenever V8 shrank it after an idle time. Returns the flags that were set.
 */
export function keepHeapSmall(
  nodeVersion: string,
  nodeArguments: readonly string[],
  nodeOptions = '',
): string[] {
  const major = Number.parseInt(nodeVersion, 10);
  if (!(major >= 20 && major <= 24)) return [];
  const given = [...nodeArguments, nodeOptions];
  const set = FLAGS.filter(({ decidedBy }) => !given.some((text) => decidedBy.test(text)));
  const flags = set.map(({ flag }) => flag);
  for (const flag of flags) setFlagsFromString(flag);
  if (flags.includes(YOUNG_FLAG)) {
    growYoungGeneration();
    watchYoungGeneration();
  }
  return flags;
}
