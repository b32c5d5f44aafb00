/** The programs in integration/workloads, as lines of a guest's script. */
import { resolve } from 'node:path';

/** Runs one part of a workload. Without bytecode: the project is read-only in the guest. */
export function workload(
  file: 'directories' | 'files' | 'programs' | 'two-clients',
  part: string,
  ...args: (string | number)[]
): string {
  return ['/usr/bin/python3 -B', resolve(`integration/workloads/${file}.py`), part, ...args].join(' ');
}
