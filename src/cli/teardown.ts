/** What has been started, to be ended in the opposite order: after a failed start, and when the daemon stops. */

interface Step {
  readonly name: string;
  readonly end: () => Promise<void>;
}

export class Teardown {
  readonly #steps: Step[] = [];
  #ending: Promise<readonly Error[]> | undefined;

  /** `name` goes into the message when `end` fails. */
  add(name: string, end: () => Promise<void>): void {
    this.#steps.push({ name, end });
  }

  /** Ends everything, last first; a failure doesn't keep the rest from being ended. Resolves to the failures. Repeatable. */
  async end(): Promise<readonly Error[]> {
    this.#ending ??= this.#run();
    return await this.#ending;
  }

  async #run(): Promise<readonly Error[]> {
    const failures: Error[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.end();
      } catch (error) {
        failures.push(
          new Error(`${step.name}: ${error instanceof Error ? error.message : String(error)}`, {
            cause: error,
          }),
        );
      }
    }
    return failures;
  }
}
