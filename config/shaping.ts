/** Delays and speeds as people write them. Each parser returns undefined for what it doesn't understand. */
import { parseDuration, parseSize } from './quantities.js';

/** How long something takes, drawn anew each time. */
export type Delay =
  | { readonly kind: 'fixed'; readonly ms: number }
  | { readonly kind: 'uniform'; readonly fromMs: number; readonly toMs: number }
  /** Half of the draws are below the median; sigma is the standard deviation of the logarithm. */
  | { readonly kind: 'lognormal'; readonly medianMs: number; readonly sigma: number };

/** Timers of Node hold 31 bits of milliseconds. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** `30ms`, `10ms..50ms` (uniform), `lognormal(30ms,0.5)` (median and sigma). */
export function parseDelay(text: string): Delay | undefined {
  const lognormal = /^lognormal\(([^,]+),\s*(\d+(?:\.\d+)?)\)$/.exec(text.trim());
  if (lognormal !== null) {
    const medianMs = finite(lognormal[1] ?? '');
    const sigma = Number(lognormal[2]);
    return medianMs === undefined || sigma > 10 ? undefined : { kind: 'lognormal', medianMs, sigma };
  }
  const [from = '', to, more] = text.split('..');
  const fromMs = finite(from);
  if (fromMs === undefined || more !== undefined) return undefined;
  if (to === undefined) return { kind: 'fixed', ms: fromMs };
  const toMs = finite(to);
  return toMs === undefined || toMs < fromMs ? undefined : { kind: 'uniform', fromMs, toMs };
}

function finite(text: string): number | undefined {
  const ms = parseDuration(text);
  return ms !== undefined && ms <= DELAY_MS_MAX ? ms : undefined;
}

/** Bytes a second of `8MiB/s`, `500KB/s`; at least 1. */
export function parseSpeed(text: string): number | undefined {
  const size = /^(.+)\/s$/i.exec(text.trim())?.[1];
  const bytes = size === undefined ? undefined : parseSize(size);
  return bytes === undefined || bytes < 1 ? undefined : bytes;
}
