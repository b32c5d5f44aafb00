/** The SDK as it comes (sdk-client.ts) as a process: a floor in the same language and with the same library. */
import { ChildProgram, SDK_ENVIRONMENT } from './child-program.js';
import type { Floor, Sample } from './measure.js';
import type { Store } from './stores/store.js';

/** Sizes in bytes. */
export type SdkRequest =
  | { readonly method: 'GET'; readonly key: string; readonly offset: number; readonly length: number }
  | { readonly method: 'HEAD'; readonly key: string }
  | { readonly method: 'PUT'; readonly key: string; readonly length: number }
  | { readonly method: 'LIST'; readonly query: string };

export interface SdkPlan {
  readonly requests: readonly SdkRequest[];
  readonly concurrency: number;
}

export class SdkClient {
  readonly #program: ChildProgram;

  private constructor(program: ChildProgram) {
    this.#program = program;
  }

  static async start(endpoint: string, certificateFile?: string): Promise<SdkClient> {
    const certificate = certificateFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificateFile };
    const environment = { ...SDK_ENVIRONMENT, ...certificate };
    return new SdkClient(await ChildProgram.start('sdk-client.js', [endpoint], environment));
  }

  /** Does the plan's requests. Fails when one fails. */
  async run(plan: SdkPlan): Promise<void> {
    const { error } = (await this.#program.ask(plan)) as { error?: string };
    if (error !== undefined) throw new Error(`the SDK failed: ${error}`);
  }

  cpuSeconds(): number {
    return this.#program.cpuSeconds();
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}

/** A floor of the SDK's own requests; its CPU stands as the client's. */
export function sdkFloor(
  sdk: SdkClient,
  store: Store,
  about: string,
  of: (round: number) => SdkPlan & { readonly units: number },
): Floor {
  return {
    about: `the SDK with its defaults, ${about}`,
    run: async (round): Promise<Sample> => {
      const { units, ...plan } = of(round);
      const before = await store.use();
      const cpuBefore = sdk.cpuSeconds();
      const beganMs = performance.now();
      await sdk.run(plan);
      const seconds = (performance.now() - beganMs) / 1000;
      const clientCpu = sdk.cpuSeconds() - cpuBefore;
      const after = await store.use();
      return { units, seconds, storeCpu: after.cpuSeconds - before.cpuSeconds, clientCpu };
    },
  };
}
