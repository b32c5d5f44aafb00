/** From the command line to a command and its exit code. */
import { parseArguments } from '../../config/arguments.js';
import { ConfigError } from '../../config/config-error.js';
import { didYouMean } from '../../config/suggestion.js';
import type { Command, Surroundings } from './command.js';
import { commandHelp, programHelp } from './help.js';
import { failureLine, isForeseen } from './start-error.js';
import { packageVersion } from './version.js';

/** Exit codes: 0 done or drained, 1 failed. */
export async function run(
  argv: readonly string[],
  commands: readonly Command[],
  surroundings: Surroundings,
): Promise<0 | 1> {
  try {
    await dispatch(argv, commands, surroundings);
    return 0;
  } catch (error) {
    surroundings.stderr(`s3nfsd: ${failureLine(error)}`);
    if (!isForeseen(error) && error instanceof Error) surroundings.stderr(error.stack ?? 'no stack');
    return 1;
  }
}

async function dispatch(
  argv: readonly string[],
  commands: readonly Command[],
  surroundings: Surroundings,
): Promise<void> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-V') {
    surroundings.stdout(packageVersion());
    return;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    surroundings.stdout(programHelp(commands));
    if (name === undefined) throw new ConfigError('name a command; see s3nfsd --help');
    return;
  }
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const names = commands.map((candidate) => candidate.name);
    throw new ConfigError(`unknown command ${name}${didYouMean(name, names)}`);
  }
  const parsed = parseArguments(rest, command.options);
  if (parsed.help) surroundings.stdout(commandHelp(command));
  else await command.run(parsed, surroundings);
}
