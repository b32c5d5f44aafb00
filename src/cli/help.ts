/** Help texts, made from the options. */
import { envName, flagName, type Option, type Options } from '../../config/option.js';
import type { Command } from './command.js';

const WIDTH = 100;
const INDENT = 6;

export function programHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    's3nfsd: mount S3 buckets with any NFSv3 client',
    '',
    'Usage: s3nfsd COMMAND [OPTIONS]',
    '',
    'Commands:',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    's3nfsd COMMAND --help tells the options of a command; s3nfsd --version tells the version.',
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const lines = [
    command.summary,
    '',
    `Usage: s3nfsd ${command.name} ${command.operands === '' ? '' : `${command.operands} `}[OPTIONS]`,
    '',
    'Every option can also be given by the environment variable in brackets, or by its name in a configuration',
    'file (YAML or JSON). A flag wins over the environment, the environment over the file.',
    '',
    'Options:',
    ...optionLines('--config FILE', 'Configuration file.', 'none', ['S3NFSD_CONFIG']),
  ];
  for (const [name, option] of Object.entries(command.options)) {
    if (name === command.positional) continue;
    lines.push(
      ...optionLines(flagText(name, option), option.doc, option.defaultText, variables(name, option)),
    );
  }
  lines.push('  -h, --help', `${' '.repeat(INDENT)}This text.`);
  if (command.examples.length > 0)
    lines.push('', 'Examples:', ...command.examples.map((example) => `  ${example}`));
  return lines.join('\n');
}

/** Flag, unit, default, variables and help of each option: the options table of the README is this. */
export function optionsTable(options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => {
    const cells = [
      `\`${flagText(name, option)}\``,
      `\`${name}\``,
      ...variables(name, option).slice(0, 1).map(code),
    ];
    return `| ${[...cells, option.defaultText, option.doc].map(escapeCell).join(' | ')} |`;
  });
  return ['| flag | in the file | environment | default | |', '|---|---|---|---|---|', ...rows].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function flagText(name: string, { kind }: Option<unknown>): string {
  if (kind.placeholder === '') return `--${flagName(name)}`;
  return `--${flagName(name)} ${kind.placeholder}${kind.list ? ' ...' : ''}`;
}

function variables(name: string, option: Option<unknown>): readonly string[] {
  return [envName(name, option), ...option.alsoEnv];
}

function optionLines(
  flag: string,
  doc: string,
  defaultText: string,
  names: readonly string[],
): readonly string[] {
  return [`  ${flag}`, ...wrap(`${doc} Default: ${defaultText}. [${names.join(', ')}]`)];
}

function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && INDENT + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((wrapped) => ' '.repeat(INDENT) + wrapped);
}
