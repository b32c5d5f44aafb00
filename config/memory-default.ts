/** The memory budget when nobody sets one: a share of what this process may use, by its cgroup or by the machine. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';

/** A quarter leaves room for V8's heap, sockets and the page cache that the spool lives on. */
const SHARE = 4;
const LEAST_BYTES = 64 * 2 ** 20;
const MOST_BYTES = 2 ** 30;

/** Bytes: min(cgroup limit, physical memory) / 4, from 64 MiB to 1 GiB. */
export function defaultMemoryLimitBytes(
  cgroupLimit: number | undefined = cgroupMemoryLimitBytes(),
  totalBytes: number = totalmem(),
): number {
  const available = Math.min(cgroupLimit ?? Infinity, totalBytes);
  return Math.min(MOST_BYTES, Math.max(LEAST_BYTES, Math.floor(available / SHARE)));
}

/**
 * The lowest memory limit of this process's cgroup and those above it, in bytes; undefined where there is none or no cgroups.
 * Version 2: memory.max in the unified hierarchy. Version 1: memory.limit_in_bytes of the memory controller, where "none" is a
 * number near 2^63.
 */
export function cgroupMemoryLimitBytes(root = '/'): number | undefined {
  const membership = readText(join(root, 'proc/self/cgroup'));
  if (membership === undefined) return undefined;
  const limits: number[] = [];
  for (const line of membership.trim().split('\n')) {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === '') {
      limits.push(...limitsUpwards(join(root, 'sys/fs/cgroup'), path, 'memory.max'));
    } else if (controllers.split(',').includes('memory')) {
      limits.push(...limitsUpwards(join(root, 'sys/fs/cgroup/memory'), path, 'memory.limit_in_bytes'));
    }
  }
  const least = Math.min(...limits);
  // Version 1 writes "no limit" as LONG_MAX rounded down to pages.
  return least < 2 ** 62 ? least : undefined;
}

/** In a container the path may name a cgroup that its namespace doesn't show: the mount's root is looked at in any case. */
function limitsUpwards(mount: string, path: string, file: string): number[] {
  const limits: number[] = [];
  const names = path.split('/').filter((name) => name !== '' && name !== '..');
  for (let depth = names.length; depth >= 0; depth--) {
    const text = readText(join(mount, ...names.slice(0, depth), file))?.trim();
    if (text !== undefined && /^\d+$/.test(text)) limits.push(Number(text));
  }
  return limits;
}

/** A file's text, or undefined where it isn't there or may not be read: cgroup files are optional by nature. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
