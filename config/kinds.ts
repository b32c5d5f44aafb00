/**
 * Kinds of option values: how each is read from text (flag, environment) or from a value of the configuration file, what is
 * allowed, as errors and help say it, and how a value is shown.
 */
import { parseListenAddress, parseNetwork, type ListenAddress } from './addresses.js';
import { formatDuration, formatMode, formatSize, parseDuration, parseMode, parseSize } from './quantities.js';
import { parseDelay, parseSpeed } from './shaping.js';

export interface Kind<T> {
  /** Placeholder in help, such as SIZE; empty for a switch. */
  readonly placeholder: string;
  /** Completes "expected ...". */
  readonly expected: string;
  /** Unit of the value once read; empty where it has none. */
  readonly unit: string;
  /** True where flags repeat, the environment takes a list with commas or blanks, and the file a list. */
  readonly list: boolean;
  /** The value, or undefined for what isn't allowed. */
  readonly parse: (input: unknown) => T | undefined;
  readonly show: (value: T) => string;
}

/** Numbers of a configuration file arrive as the text they were written in (config/file.ts). */
function textOf(input: unknown): string | undefined {
  return typeof input === 'string' ? input : undefined;
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

export function text(placeholder: string, expected: string, pattern = /^[^\0\n]+$/): Kind<string> {
  return {
    placeholder,
    expected,
    unit: '',
    list: false,
    parse: (input) => {
      const value = textOf(input);
      return value !== undefined && pattern.test(value) ? value : undefined;
    },
    show: (value) => value,
  };
}

export function choice<const V extends string>(...values: readonly V[]): Kind<V> {
  return {
    placeholder: values.join('|'),
    expected: `one of ${values.join(', ')}`,
    unit: '',
    list: false,
    parse: (input) => values.find((value) => value === input),
    show: (value) => value,
  };
}

export const flag: Kind<boolean> = {
  placeholder: '',
  expected: 'true or false',
  unit: '',
  list: false,
  parse: (input) => {
    if (typeof input === 'boolean') return input;
    if (input === 'true' || input === '1' || input === 'yes' || input === 'on') return true;
    return input === 'false' || input === '0' || input === 'no' || input === 'off' ? false : undefined;
  },
  show: String,
};

export function integer(min: number, max: number, placeholder = 'N'): Kind<number> {
  return {
    placeholder,
    expected: `a whole number from ${min} to ${max}`,
    unit: '',
    list: false,
    parse: (input) => {
      const value = textOf(input);
      return value !== undefined && /^\d+$/.test(value) ? within(Number(value), min, max) : undefined;
    },
    show: String,
  };
}

export function size(min: number, max: number): Kind<number> {
  const range = max === Infinity ? `at least ${formatSize(min)}` : `${formatSize(min)} to ${formatSize(max)}`;
  return {
    placeholder: 'SIZE',
    expected: `a size such as 16MB or 1GiB, ${range}`,
    unit: 'bytes',
    list: false,
    parse: (input) => within(parseSize(textOf(input) ?? ''), min, max),
    show: formatSize,
  };
}

export function duration(min: number, max: number): Kind<number> {
  const range =
    max === Infinity
      ? `at least ${formatDuration(min)}, or indefinite`
      : `${formatDuration(min)} to ${formatDuration(max)}`;
  return {
    placeholder: 'TIME',
    expected: `a time such as 250ms, 30s or 5m, ${range}`,
    unit: 'milliseconds',
    list: false,
    parse: (input) => within(parseDuration(textOf(input) ?? ''), min, max),
    show: formatDuration,
  };
}

/** A time or a distribution of times, kept as it was written: whoever draws from it reads it (config/shaping.ts). */
export const delay: Kind<string> = {
  placeholder: 'TIME',
  expected: 'a time such as 30ms, 10ms..50ms or lognormal(30ms,0.5)',
  unit: '',
  list: false,
  parse: (input) => {
    const value = textOf(input);
    return value !== undefined && parseDelay(value) !== undefined ? value : undefined;
  },
  show: (value) => value,
};

/** A speed, kept as it was written. */
export const speed: Kind<string> = {
  placeholder: 'SPEED',
  expected: 'a speed such as 8MiB/s',
  unit: '',
  list: false,
  parse: (input) => {
    const value = textOf(input);
    return value !== undefined && parseSpeed(value) !== undefined ? value : undefined;
  },
  show: (value) => value,
};

/** The digits are octal with and without a leading 0, in files too: nobody writes a mode in decimal. */
export const mode: Kind<number> = {
  placeholder: 'MODE',
  expected: 'an octal mode such as 0644',
  unit: 'permission bits',
  list: false,
  parse: (input) => parseMode(textOf(input) ?? ''),
  show: formatMode,
};

export const url: Kind<string> = {
  placeholder: 'URL',
  expected: 'a URL such as https://s3.example.com or http://127.0.0.1:9000',
  unit: '',
  list: false,
  parse: (input) => {
    if (typeof input !== 'string' || !URL.canParse(input)) return undefined;
    const parsed = new URL(input);
    const plain = parsed.username === '' && parsed.search === '' && parsed.hash === '';
    return /^https?:$/.test(parsed.protocol) && plain ? input.replace(/\/+$/, '') : undefined;
  },
  show: (value) => value,
};

export const networks: Kind<readonly string[]> = listOf(
  'CIDR',
  'networks such as 10.0.0.0/8 or fd00::/8',
  (item) => {
    const network = parseNetwork(item);
    return network === undefined ? undefined : [network];
  },
);

export const listenAddresses: Kind<readonly ListenAddress[]> = {
  ...listOf<ListenAddress>(
    'ADDR',
    'addresses such as 127.0.0.1, 0.0.0.0:2049, [::1]:2049 or localhost',
    parseListenAddress,
  ),
  show: (value) => value.map(showListenAddress).join(', '),
};

function showListenAddress({ host, port }: ListenAddress): string {
  if (port === undefined) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A list in a file, or text with commas or blanks between the items. */
export function listOf<T>(
  placeholder: string,
  expected: string,
  parseItem: (item: string) => readonly T[] | undefined,
): Kind<readonly T[]> {
  return {
    placeholder,
    expected,
    unit: '',
    list: true,
    parse: (input) => {
      const items: readonly unknown[] = Array.isArray(input) ? input.flatMap(splitItems) : splitItems(input);
      const values: T[] = [];
      for (const item of items) {
        const parsed = typeof item === 'string' ? parseItem(item) : undefined;
        if (parsed === undefined) return undefined;
        values.push(...parsed);
      }
      return values;
    },
    show: (value) => (value.length === 0 ? 'none' : value.map(String).join(', ')),
  };
}

function splitItems(input: unknown): readonly unknown[] {
  return typeof input === 'string' ? input.split(/[,\s]+/).filter((item) => item !== '') : [input];
}
