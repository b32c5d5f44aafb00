/**
 * From flags, environment and configuration file to the values of a command's options: flag before environment before file
 * before default. Every layer is checked, also where a stronger one hides it.
 */
import type { ParsedArguments } from './arguments.js';
import { ConfigError, invalidValue, type Origin } from './config-error.js';
import { readConfigFile } from './file.js';
import { envName, flagName, type Options, type Values } from './option.js';
import { convictOf, knownVariables } from './schema.js';
import { didYouMean, nearestName } from './suggestion.js';

export interface Resolved<O extends Options> {
  readonly values: Values<O>;
  /** Where each value came from; no entry for defaults. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Things worth a line to the user that don't stop the start. */
  readonly warnings: readonly string[];
}

export interface Sources {
  readonly arguments: ParsedArguments;
  /** The option that arguments without a flag belong to; otherwise there must be none. */
  readonly positional?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Fails with ConfigError at the first value that isn't allowed and the first name that isn't known. */
export function resolveOptions<O extends Options>(options: O, sources: Sources): Resolved<O> {
  const origins = new Map<string, Origin>();
  const config = convictOf(options);
  const file = sources.arguments.configFile ?? nonEmpty(sources.env['S3NFSD_CONFIG']);
  const layers = [
    file === undefined ? [] : fromFile(options, file),
    fromEnvironment(options, sources.env),
    fromCommandLine(sources),
  ];
  for (const layer of layers) {
    const values: Record<string, unknown> = {};
    for (const { name, input, origin } of layer) {
      values[name] = read(options, name, input, origin);
      origins.set(name, origin);
    }
    config.load(values);
  }
  config.validate({ allowed: 'strict' });
  return { values: config.getProperties(), origins, warnings: strayVariables(sources.env) };
}

interface Input {
  readonly name: string;
  readonly input: unknown;
  readonly origin: Origin;
}

function read(options: Options, name: string, input: unknown, origin: Origin): unknown {
  const option = options[name];
  const value: unknown = option?.kind.parse(input);
  if (option === undefined || value === undefined) {
    throw invalidValue(
      name,
      origin,
      option?.sensitive === true ? '...' : input,
      option?.kind.expected ?? 'nothing',
    );
  }
  return value;
}

function fromFile(options: Options, path: string): readonly Input[] {
  const inputs: Input[] = [];
  for (const [name, input] of readConfigFile(path)) {
    if (!Object.hasOwn(options, name)) {
      throw new ConfigError(
        `unknown key ${name} in configuration file ${path}${didYouMean(name, Object.keys(options))}`,
      );
    }
    // A key left empty is a key left out.
    if (input !== null) inputs.push({ name, input, origin: `file ${path}` });
  }
  return inputs;
}

function fromEnvironment(options: Options, env: Sources['env']): readonly Input[] {
  const inputs: Input[] = [];
  for (const [name, option] of Object.entries(options)) {
    for (const variable of [envName(name, option), ...option.alsoEnv]) {
      const input = nonEmpty(env[variable]);
      if (input === undefined || isServiceLink(variable, input)) continue;
      inputs.push({ name, input, origin: `environment variable ${variable}` });
      break;
    }
  }
  return inputs;
}

function fromCommandLine(sources: Sources): readonly Input[] {
  const { flags, positionals } = sources.arguments;
  const inputs = [...flags].map(([name, input]): Input => ({
    name,
    input,
    origin: `flag --${flagName(name)}`,
  }));
  if (positionals.length === 0) return inputs;
  const name = sources.positional;
  if (name === undefined) throw new ConfigError(`unexpected argument ${JSON.stringify(positionals[0])}`);
  if (flags.has(name))
    throw new ConfigError(`option ${name}: give either --${flagName(name)} or arguments, not both`);
  return [...inputs, { name, input: positionals, origin: 'arguments' }];
}

/** Kubernetes tells each pod about a Service called s3nfsd by S3NFSD_PORT=tcp://10.0.0.1:2049: nobody's port to listen on. */
function isServiceLink(variable: string, value: string): boolean {
  return /_PORT(?:_|$)/.test(variable) && /^(?:tcp|udp|sctp):\/\//.test(value);
}

function strayVariables(env: Sources['env']): readonly string[] {
  const known = knownVariables();
  const warnings: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('S3NFSD_') || value === undefined || known.has(variable)) continue;
    const nearest = nearestName(variable, known);
    if (nearest !== undefined)
      warnings.push(`environment variable ${variable} is not known; did you mean ${nearest}?`);
  }
  return warnings;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
