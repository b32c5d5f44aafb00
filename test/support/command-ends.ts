/** What a test's teardown is to a test, for a command: everything that was started ends, in the opposite order. */

type End = () => unknown;

export class CommandEnds {
  readonly #ends: End[] = [];

  teardown(end: End): void {
    this.#ends.push(end);
  }

  async end(): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}
