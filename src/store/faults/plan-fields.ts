/** The values of a rule's fields, read from text. */
import { parseDuration, parseSize } from '../../../config/quantities.js';
import type { Offset, Span } from './plan.js';

/** A plan that can't be followed. The message is one line: which rule and name, and what is expected. */
export class FaultPlanError extends Error {
  override readonly name = 'FaultPlanError';
}

/** The fields of one rule. Every reader gives undefined for a field that isn't there, and fails with FaultPlanError for a wrong one. */
export class Fields {
  readonly #source: Readonly<Record<string, string>>;

  constructor(source: Readonly<Record<string, string>>) {
    this.#source = source;
  }

  text(name: string): string | undefined {
    const text = Object.hasOwn(this.#source, name) ? this.#source[name] : undefined;
    if (text === '') throw new FaultPlanError(`${name}: expected a value`);
    return text;
  }

  read<T>(name: string, parse: (text: string) => T): T | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : parse(text);
  }

  list(name: string): readonly string[] | undefined {
    return this.read(name, (text) => {
      const items = text.split(',').map((item) => item.trim());
      if (items.includes('')) throw new FaultPlanError(`${name}: expected a list without empty items`);
      return items;
    });
  }

  choice<const V extends string>(name: string, values: readonly V[]): V | undefined {
    return this.read(name, (text) => {
      const value = values.find((each) => each === text);
      return value ?? expected(name, `one of ${values.join(', ')}`, text);
    });
  }
}

export function expected(name: string, what: string, text: string): never {
  throw new FaultPlanError(`${name}: expected ${what}, got ${text}`);
}

export function wholeNumber(name: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  const allowed = /^\d+$/.test(text) && value >= min && value <= max;
  const what = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `from ${min} to ${max}`;
  return allowed ? value : expected(name, `a whole number ${what}`, text);
}

/** `0.05` or `5%`. */
export function fraction(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  const value = Number(match?.[1]) / (match?.[2] === '%' ? 100 : 1);
  return value <= 1 ? value : expected(name, 'a rate such as 0.05 or 5%', text);
}

/** Milliseconds; a plan has no use for `indefinite` here. */
export function duration(name: string, text: string): number {
  const ms = parseDuration(text);
  return ms !== undefined && ms !== Infinity ? ms : expected(name, 'a time such as 250ms, 30s or 5m', text);
}

/** Milliseconds of `5m`, `-1h`. */
export function signedDuration(name: string, text: string): number {
  return text.startsWith('-') ? -duration(name, text.slice(1)) : duration(name, text);
}

/** `5`, `5..10`. */
export function spanOf(name: string, text: string, parse: (text: string) => number): Span {
  const [first = '', last, more] = text.split('..');
  const from = parse(first);
  const to = last === undefined ? from : parse(last);
  return more === undefined && to >= from
    ? { from, to }
    : expected(name, 'a number or a span such as 5..10', text);
}

/** `0`, `64KiB`, `0..12MiB`, `anywhere`. */
export function offsetOf(name: string, text: string): Offset {
  if (text === 'anywhere') return 'anywhere';
  return spanOf(
    name,
    text,
    (each) => parseSize(each) ?? expected(name, 'bytes such as 64KiB or 0..12MiB, or anywhere', text),
  );
}
