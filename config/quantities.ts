/** Sizes, times and modes as people write them. Each parser returns undefined for what it doesn't understand. */

/** With an i powers of 1024, without it powers of 1000 (IEC 80000-13, as Kubernetes and Mountpoint have it). */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['k', 1e3],
  ['m', 1e6],
  ['g', 1e9],
  ['t', 1e12],
  ['ki', 2 ** 10],
  ['mi', 2 ** 20],
  ['gi', 2 ** 30],
  ['ti', 2 ** 40],
]);

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** Bytes of `16MB`, `1GiB`, `512Ki`, `1.5G`, `4096` (whole bytes, rounded down). */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = SIZE_UNITS.get(match?.[2]?.toLowerCase().replace(/(?<=.)b$/, '') ?? '-');
  if (match === null || unit === undefined) return undefined;
  const bytes = Math.floor(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Milliseconds of `250ms`, `30s`, `5m`, `1h30m`, `0`; Infinity for `indefinite`. A number needs its unit unless it is 0. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === '0') return 0;
  if (trimmed === 'indefinite') return Infinity;
  if (!/^(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, number, name] of trimmed.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const unit = DURATION_UNITS.get(name ?? '');
    if (unit === undefined) return undefined;
    total += Number(number) * unit;
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

/** Permission bits of `0644`, `644`, `0o644`. */
export function parseMode(text: string): number | undefined {
  const match = /^(?:0o?)?([0-7]{1,4})$/.exec(text.trim());
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 8);
}

/** The shortest exact spelling: `1GiB`, `16MB`, `4097`. */
export function formatSize(bytes: number): string {
  for (const [unit, suffix] of [
    [2 ** 40, 'TiB'],
    [2 ** 30, 'GiB'],
    [1e12, 'TB'],
    [1e9, 'GB'],
    [2 ** 20, 'MiB'],
    [1e6, 'MB'],
    [2 ** 10, 'KiB'],
    [1e3, 'KB'],
  ] as const) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`;
  }
  return String(bytes);
}

/** The shortest exact spelling: `5m`, `30s`, `250ms`, `indefinite`. */
export function formatDuration(ms: number): string {
  if (ms === Infinity) return 'indefinite';
  if (ms === 0) return '0';
  for (const [unit, suffix] of [
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ] as const) {
    if (ms >= unit && ms % unit === 0) return `${ms / unit}${suffix}`;
  }
  return `${ms}ms`;
}

/** `0644`. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
