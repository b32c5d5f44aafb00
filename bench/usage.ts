/** What a process uses, as Linux tells it. */
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';

/** Clock ticks a second of /proc/PID/stat. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Memory is looked at this often, in milliseconds. */
const SAMPLE_MS = 50;

/** CPU seconds a process has used, in user and kernel together. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Anonymous and shared memory in MiB: mapped files (LMDB) are the kernel's to take back and don't count. */
export function residentMiB(pid: number): number {
  return anonymousMiB(pid) + statusMiB(pid, 'RssShmem');
}

/** Of a process that maps files of tmpfs, which count as shared memory. */
export function anonymousMiB(pid: number): number {
  return statusMiB(pid, 'RssAnon');
}

function statusMiB(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
}

/** The greatest memory of a process while `run` runs, in MiB. */
export async function withPeak<T>(
  pid: number,
  run: () => Promise<T>,
): Promise<{ result: T; peakMiB: number }> {
  let peakMiB = residentMiB(pid);
  const timer = setInterval(() => {
    peakMiB = Math.max(peakMiB, residentMiB(pid));
  }, SAMPLE_MS);
  try {
    const result = await run();
    return { result, peakMiB: Math.max(peakMiB, residentMiB(pid)) };
  } finally {
    clearInterval(timer);
  }
}
