/** Splitting a command line into flags and the rest. Knows the options' names; values are read later. */
import { parseArgs } from 'node:util';
import { ConfigError } from './config-error.js';
import { flagName, type Options } from './option.js';
import { didYouMean } from './suggestion.js';

export interface ParsedArguments {
  /** By option name; options that take lists have one item a flag. */
  readonly flags: ReadonlyMap<string, string | boolean | readonly string[]>;
  readonly positionals: readonly string[];
  /** --config */
  readonly configFile?: string;
  readonly help: boolean;
}

/** `--name value`, `--name=value`, `--switch`, `--no-switch`; `--` ends flags. Fails with ConfigError. */
export function parseArguments(argv: readonly string[], options: Options): ParsedArguments {
  const names = new Map(Object.keys(options).map((name) => [flagName(name), name]));
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      config: { type: 'string' },
      ...Object.fromEntries(
        [...names].map(([flag, name]) => [
          flag,
          { type: isSwitch(options, name) ? 'boolean' : 'string' } as const,
        ]),
      ),
    },
  });
  const flags = new Map<string, string | boolean | readonly string[]>();
  const positionals: string[] = [];
  let configFile: string | undefined;
  let help = false;
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (token.name === 'help') {
      help = true;
      continue;
    }
    if (token.name === 'config') {
      configFile = requiredValue(token);
      continue;
    }
    const negated = token.name.startsWith('no-') && !names.has(token.name);
    const name = names.get(negated ? token.name.slice(3) : token.name);
    if (name === undefined || (negated && !isSwitch(options, name))) {
      const known = ['--config', '--help', ...[...names.keys()].map((flag) => `--${flag}`)];
      throw new ConfigError(`unknown option ${token.rawName}${didYouMean(token.rawName, known)}`);
    }
    if (negated && token.value !== undefined) throw new ConfigError(`option ${token.rawName} takes no value`);
    if (isSwitch(options, name)) {
      flags.set(name, negated ? false : (token.value ?? true));
      continue;
    }
    const value = requiredValue(token);
    const before = flags.get(name);
    if (options[name]?.kind.list === true) {
      flags.set(name, [...(Array.isArray(before) ? (before as readonly string[]) : []), value]);
    } else {
      if (before !== undefined) throw new ConfigError(`option ${token.rawName} is given twice`);
      flags.set(name, value);
    }
  }
  return { flags, positionals, help, ...(configFile === undefined ? {} : { configFile }) };
}

function isSwitch(options: Options, name: string): boolean {
  return options[name]?.kind.placeholder === '';
}

/** `--port --read-only` is a forgotten value; `--port=--read-only` is what it says. */
function requiredValue(token: {
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}): string {
  if (token.value === undefined || (token.inlineValue !== true && token.value.startsWith('-'))) {
    throw new ConfigError(`option ${token.rawName} needs a value`);
  }
  return token.value;
}
