/** Memory of a process by what Linux tells of it. */
import { readFileSync } from 'node:fs';

/** Anonymous resident memory in KiB (RssAnon of proc(5)): what a process has taken, without the files that it maps. */
export function anonymousKiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`expected RssAnon in /proc/${pid}/status`);
  return Number(kib);
}
