/** The shape of an option and of a command's options; names of flags and variables follow from the option's name. */
import type { Kind } from './kinds.js';

export interface Option<T> {
  readonly kind: Kind<NonNullable<T>>;
  /** Null where the default follows from other things: `defaultText` says how. */
  readonly default: T;
  readonly defaultText: string;
  readonly doc: string;
  /** Its environment variable where that doesn't follow from the name, because two commands mean different things by it. */
  readonly env: string | undefined;
  /** Environment variables of others that are honoured, in the order they are asked, after this project's own. */
  readonly alsoEnv: readonly string[];
  /** Keeps the value out of what is printed. */
  readonly sensitive: boolean;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- an option's own type is recovered by Values
export type Options = Readonly<Record<string, Option<any>>>;

/** The values of a command's options. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K]['default'] };

/** The values of options that nobody set. */
export function defaultsOf<O extends Options>(options: O): Values<O> {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => [name, option.default as unknown]),
  ) as Values<O>;
}

interface Extras {
  readonly env?: string;
  readonly alsoEnv?: readonly string[];
  readonly sensitive?: boolean;
}

/** An option with a fixed default. */
export function option<T>(kind: Kind<T & {}>, value: T & {}, doc: string, extras: Extras = {}): Option<T> {
  return {
    kind,
    default: value,
    defaultText: value === false ? 'false' : kind.show(value),
    doc,
    env: extras.env,
    alsoEnv: extras.alsoEnv ?? [],
    sensitive: extras.sensitive ?? false,
  };
}

/** An option that may stay unset; `defaultText` says what goes then. */
export function optional<T>(
  kind: Kind<T & {}>,
  defaultText: string,
  doc: string,
  extras: Extras = {},
): Option<T | null> {
  return {
    kind,
    default: null,
    defaultText,
    doc,
    env: extras.env,
    alsoEnv: extras.alsoEnv ?? [],
    sensitive: extras.sensitive ?? false,
  };
}

/** `memoryLimit` -> `memory-limit`. */
export function flagName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `memoryLimit` -> `S3NFSD_MEMORY_LIMIT`, unless the option says otherwise. */
export function envName(name: string, { env }: Pick<Option<unknown>, 'env'>): string {
  return env ?? `S3NFSD_${flagName(name).replaceAll('-', '_').toUpperCase()}`;
}
