/** Programs by their numbers (RFC 5531 section 8): finds a procedure, or says in the RFC's words why there is none. */
import type { Procedure } from '../../protocol/program.js';
import type { reply_data } from '../../protocol/rpc.js';
import { xvoid } from '../../protocol/xdr.js';
import type { Call, Service } from './service.js';

export interface Target {
  readonly program: string;
  readonly name: string;
  readonly procedure: Procedure;
  readonly handler: (args: unknown, call: Call) => unknown;
}

type Refusal = { readonly refusal: reply_data };

interface Versions {
  low: number;
  high: number;
  readonly byNumber: Map<number, Map<number, Target>>;
}

export class ProgramTable {
  readonly #programs = new Map<number, Versions>();

  /** Throws when two services have the same program and version. */
  constructor(services: readonly Service[]) {
    for (const service of services) this.#add(service);
  }

  find(prog: number, vers: number, proc: number): Target | Refusal {
    const versions = this.#programs.get(prog);
    if (versions === undefined) return { refusal: { stat: 'PROG_UNAVAIL' } };
    const procedures = versions.byNumber.get(vers);
    if (procedures === undefined) {
      const { low, high } = versions;
      return { refusal: { stat: 'PROG_MISMATCH', mismatch_info: { low, high } } };
    }
    return procedures.get(proc) ?? { refusal: { stat: 'PROC_UNAVAIL' } };
  }

  #add({ program, handlers }: Service): void {
    let versions = this.#programs.get(program.number);
    if (versions === undefined) {
      versions = { low: program.version, high: program.version, byNumber: new Map() };
      this.#programs.set(program.number, versions);
    }
    if (versions.byNumber.has(program.version)) {
      throw new Error(`program ${program.number} version ${program.version} is registered twice`);
    }
    versions.low = Math.min(versions.low, program.version);
    versions.high = Math.max(versions.high, program.version);
    versions.byNumber.set(program.version, procedureTable(program.name, { program, handlers }));
  }
}

/** Every program has a procedure 0 that takes and gives nothing (RFC 5531 section 12), listed or not. */
function procedureTable(name: string, { program, handlers }: Service): Map<number, Target> {
  const ping: Procedure = { number: 0, args: xvoid, result: xvoid };
  const table = new Map<number, Target>([
    [0, { program: name, name: 'NULL', procedure: ping, handler: () => undefined }],
  ]);
  for (const [procedureName, procedure] of Object.entries(program.procedures)) {
    const handler = handlers[procedureName];
    if (handler === undefined) throw new Error(`${name} has no handler for ${procedureName}`);
    table.set(procedure.number, {
      program: name,
      name: procedureName,
      procedure,
      handler: (args, call): unknown => handler(args, call),
    });
  }
  return table;
}
