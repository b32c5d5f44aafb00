/** Histories: what is done to a daemon, made by fast-check, played, made smaller when something is wrong, and kept to be played again. */
import fc from 'fast-check';
import type { Ends } from '../end-to-end/fixture.js';
import { commands, PRELUDE, type Command, type Shape } from './commands.js';
import { Model, type Figures } from './model.js';
import { Rig, type RigOptions } from './rig.js';

export type Step =
  | { readonly do: 'one'; readonly command: Command; readonly by?: number }
  | { readonly do: 'together'; readonly commands: readonly Command[] }
  | { readonly do: 'restart' | 'kill' };

/** Plain JSON. Several `parts` run at the same time, each in a directory of its own. */
export interface History {
  readonly clients: number;
  readonly parts: readonly (readonly Step[])[];
}

export interface HistoryOptions {
  readonly clients: number;
  /** `together`: calls on the same files at the same time. `apart`: each client in a directory of its own, with exact answers. */
  readonly mode: 'together' | 'apart';
  readonly restarts: boolean;
  readonly steps: number;
  readonly shape: Shape;
}

const asStep = (command: Command): Step => ({ do: 'one', command });

export function histories(options: HistoryOptions): fc.Arbitrary<History> {
  const { clients, mode, restarts, steps } = options;
  const command = commands(options.shape);
  const one = fc.record({ do: fc.constant('one' as const), command }, { noNullPrototype: true });
  const together = fc.record(
    {
      do: fc.constant('together' as const),
      commands: fc.array(command, { minLength: 2, maxLength: Math.min(Math.max(clients, 2), 4) }),
    },
    { noNullPrototype: true },
  );
  const restart = fc.record(
    { do: fc.constantFrom('restart' as const, 'kill' as const) },
    { noNullPrototype: true },
  );
  const shared = mode === 'together' && clients > 1;
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: shared ? 20 : 60, arbitrary: one },
    ...(shared ? [{ weight: 40, arbitrary: together }] : []),
    ...(restarts && mode === 'together' ? [{ weight: 1, arbitrary: restart }] : []),
  );
  const prelude = fc.subarray(PRELUDE.map(asStep), { minLength: 0 });
  const rest = fc.noBias(fc.array(step, { minLength: 1, maxLength: steps, size: 'max' }));
  const part = fc.tuple(prelude, rest).map(([first, then]) => [...first, ...then]);
  const parts =
    mode === 'apart' ? fc.array(part, { minLength: clients, maxLength: clients }) : fc.tuple(part);
  return parts.map((each) => ({ clients: shared ? clients : 1, parts: each }));
}

async function playPart(rig: Rig, clients: number, steps: readonly Step[], figures: Figures): Promise<void> {
  const model = await Model.start(rig, clients, figures);
  try {
    for (const step of steps) {
      switch (step.do) {
        case 'one':
          await model.one(step.command, step.by);
          break;
        case 'together':
          await model.together(step.commands);
          break;
        case 'restart':
          await model.restart('SIGTERM');
          break;
        case 'kill':
          await model.restart('SIGKILL');
          break;
      }
    }
    await model.finish();
  } finally {
    await model.close();
  }
}

/** Plays a history on a daemon. Throws at the first answer that is wrong. */
export async function play(rig: Rig, { clients, parts }: History, figures: Figures): Promise<void> {
  await rig.ready();
  await Promise.all(parts.map((steps) => playPart(rig, clients, steps, figures)));
}

export interface ModelRun extends HistoryOptions, RigOptions {
  readonly runs: number;
  /** Milliseconds after which no further history is begun. */
  readonly timeLimitMs?: number;
  /** Of fast-check: a failure's own path leads straight to it. */
  readonly path?: string;
}

export interface ModelReport extends Figures {
  histories: number;
  starts: number;
  /** Faults of the store that were carried out. */
  storeFaults: number;
  /** The smallest history that fails, how, and what fast-check needs to find it again. */
  readonly failure?: {
    readonly history: History;
    readonly message: string;
    readonly seed: number;
    readonly path: string;
  };
}

export const newFigures = (): Figures => ({ commands: 0, answers: new Map(), jukeboxes: 0 });

/** Histories on one daemon, until one fails, and then smaller ones. */
export async function runModel(ends: Ends, run: ModelRun): Promise<ModelReport> {
  const rig = await Rig.start(ends, run);
  const figures = newFigures();
  let count = 0;
  const property = fc.asyncProperty(histories(run), async (history) => {
    count++;
    await play(rig, history, figures);
  });
  const result = await fc.check(property, {
    numRuns: run.runs,
    seed: run.seed,
    ...(run.path !== undefined && { path: run.path }),
    ...(run.timeLimitMs !== undefined && { interruptAfterTimeLimit: run.timeLimitMs }),
  });
  const report = { ...figures, histories: count, starts: rig.starts, storeFaults: rig.faults };
  if (!result.failed || result.counterexample === null) return report;
  const [history] = result.counterexample;
  const error = result.errorInstance;
  const message = messageOf(error);
  return {
    ...report,
    failure: { history, message, seed: result.seed, path: result.counterexamplePath ?? '' },
  };
}

/** An error with its causes, in words. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}\n${messageOf(error.cause)}`;
}
