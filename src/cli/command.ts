/** What a command of the command line is. */
import type { ParsedArguments } from '../../config/arguments.js';
import type { Options } from '../../config/option.js';

/** The process, as commands see it. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes a line. Standard output carries what programs read and people asked for; everything else goes to the other. */
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
  /** Aborted when the process is asked to end (SIGTERM, SIGINT). */
  readonly shutdown: AbortSignal;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line, before the options. */
  readonly operands: string;
  readonly options: Options;
  /** The option that operands belong to. */
  readonly positional?: string;
  readonly examples: readonly string[];
  /** Resolves when the command has ended well; fails with ConfigError, StartError or a defect. */
  readonly run: (parsed: ParsedArguments, surroundings: Surroundings) => Promise<void>;
}
