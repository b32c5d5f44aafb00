/** Runs that everybody shares who asks before they begin. */
import t from 'tap';
import { JoinedRuns } from '../../src/write/joined-runs.js';

/** Runs that begin and end when they are told to. */
class Runs {
  readonly joined = new JoinedRuns();
  readonly #began: (() => void)[] = [];
  readonly #ends: { readonly resolve: () => void; readonly reject: (cause: Error) => void }[] = [];

  get count(): number {
    return this.#ends.length;
  }

  ask(): Promise<void> {
    return this.joined.join(
      (begun) =>
        new Promise<void>((resolve, reject) => {
          this.#began.push(begun);
          this.#ends.push({ resolve, reject });
        }),
    );
  }

  begin(at: number): void {
    this.#began[at]?.();
  }

  end(at: number, failure?: Error): void {
    if (failure === undefined) this.#ends[at]?.resolve();
    else this.#ends[at]?.reject(failure);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

await t.test(
  'who asks before a run begins shares it, and who asks later gets another after it',
  async (t) => {
    const runs = new Runs();
    const told: string[] = [];
    const ask = (name: string): Promise<void> => runs.ask().then(() => void told.push(name));
    const first = ask('first');
    await turn();
    const before = ask('before it began');
    runs.begin(0);
    const after = [ask('after'), ask('after that')];
    await turn();
    t.equal(runs.count, 1, 'one at a time');
    runs.end(0);
    await Promise.all([first, before]);
    t.same(told, ['first', 'before it began']);
    await turn();
    t.equal(runs.count, 2);
    runs.begin(1);
    runs.end(1);
    await Promise.all(after);
    t.equal(runs.count, 2, 'both shared it');
  },
);

await t.test('a run that fails tells those who shared it, and the next one runs', async (t) => {
  const runs = new Runs();
  const first = runs.ask();
  await turn();
  runs.begin(0);
  const second = runs.ask();
  runs.end(0, new Error('no room'));
  await t.rejects(first, /no room/);
  await turn();
  runs.begin(1);
  runs.end(1);
  await t.resolves(second);
});
