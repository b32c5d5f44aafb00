/** The fault plan of a command: what its file and its flags say together. */
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../config/config-error.js';
import type { FaultValues } from '../../config/fault-options.js';
import { faultPlan, parseFaultPlan, parseRule } from '../store/faults/parse-plan.js';
import { FaultPlanError } from '../store/faults/plan-fields.js';
import type { FaultPlan, FaultRule } from '../store/faults/plan.js';

/** Undefined where nothing is to go wrong. Fails with ConfigError, which names option and rule. */
export function faultPlanOf(values: FaultValues): FaultPlan | undefined {
  const { latency, bandwidth, totalBandwidth, fault, faultPlan: file, faultSeed } = values;
  const fromFile = file === null ? undefined : readPlan(file);
  const rules: FaultRule[] = [...(fromFile?.rules ?? [])];
  for (const [index, rule] of fault.entries()) {
    rules.push(named(`option fault, rule ${index + 1}`, (where) => parseRule(rule, where)));
  }
  for (const source of [
    ...(latency === null ? [] : [{ fault: 'latency', time: latency }]),
    ...(bandwidth === null ? [] : [{ fault: 'bandwidth', speed: bandwidth }]),
    ...(totalBandwidth === null ? [] : [{ fault: 'bandwidth', speed: totalBandwidth, scope: 'total' }]),
  ]) {
    rules.push(named(`option ${source.fault}`, (where) => parseRule(source, where)));
  }
  return rules.length === 0 ? undefined : faultPlan(rules, faultSeed ?? fromFile?.seed);
}

function readPlan(path: string): FaultPlan {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read fault plan ${path}: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
  return named(`fault plan ${path}`, (where) => {
    try {
      return parseFaultPlan(text);
    } catch (error) {
      if (!(error instanceof FaultPlanError)) throw error;
      throw new FaultPlanError(`${where}: ${error.message}`, { cause: error });
    }
  });
}

function named<T>(where: string, parse: (where: string) => T): T {
  try {
    return parse(where);
  } catch (error) {
    if (!(error instanceof FaultPlanError)) throw error;
    throw new ConfigError(error.message, { cause: error });
  }
}
