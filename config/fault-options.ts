/** The options of commands that can have faults: what is to go wrong, and how slow it is to be. */
import { delay, integer, speed, text, type Kind } from './kinds.js';
import { option, optional, type Values } from './option.js';

/** Rules of fault plans; what they must hold is told by src/store/faults, which carries them out. */
const faultRules: Kind<readonly unknown[]> = {
  placeholder: 'RULE',
  expected: 'rules such as "error code=SlowDown rate=5%"',
  unit: '',
  list: true,
  parse: (input) => {
    const items: readonly unknown[] = Array.isArray(input) ? (input as readonly unknown[]) : [input];
    return items.flatMap<unknown>((item) => (typeof item === 'string' ? rulesOf(item) : [item]));
  },
  show: (value) => (value.length === 0 ? 'none' : value.map(String).join('; ')),
};

/** Rules have blanks and commas in them. */
function rulesOf(text: string): readonly string[] {
  return text
    .split(';')
    .map((rule) => rule.trim())
    .filter((rule) => rule !== '');
}

/** docs/faults.md tells what they do. */
export const FAULT_OPTIONS = {
  latency: optional(delay, 'none', 'Time that each answer is late by, or how it is distributed.'),
  bandwidth: optional(speed, 'unlimited', 'Speed of bodies on each connection, in each direction.'),
  totalBandwidth: optional(
    speed,
    'unlimited',
    'Speed of bodies on all connections together, in each direction.',
  ),
  fault: option(
    faultRules,
    [],
    'What goes wrong, such as "error code=SlowDown rate=5%" or "reset at=1MiB nth=3"; between rules in one value a semicolon. docs/faults.md lists them.',
  ),
  faultPlan: optional(
    text('PATH', 'a path'),
    'none',
    'File of rules, YAML or JSON; those of the flags are added.',
  ),
  faultSeed: optional(
    integer(0, Number.MAX_SAFE_INTEGER),
    'that of the file, or 1',
    'What is drawn follows from it.',
  ),
};

export type FaultValues = Values<typeof FAULT_OPTIONS>;
