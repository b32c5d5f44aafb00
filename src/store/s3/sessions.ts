/**
 * Sessions of a directory bucket: temporary keys that CreateSession gives for five minutes. In place of the SDK's own provider, which
 * keeps a failed CreateSession for good and lets a failure of its refresh end the process.
 *
 *     none, or at its end -> CreateSession, all wait for it
 *     a minute before     -> CreateSession beside the requests, which go on with the old one
 *     refused as expired  -> forgotten, and the request is made once more (error-map.ts)
 */
import { CreateSessionCommand, type S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Logger } from '../../telemetry/log.js';

type Provider = NonNullable<S3ClientConfig['s3ExpressIdentityProvider']>;
export type Session = Awaited<ReturnType<Provider['getS3ExpressIdentity']>>;

/** S3's answers about a token it doesn't take any more. */
export const SESSION_ENDED: readonly string[] = ['ExpiredToken', 'InvalidToken'];

const REFRESH_BEFORE_MS = 60_000;
/** Where the server tells no time: what AWS gives. */
const LIFE_MS = 5 * 60_000;

interface Held {
  readonly identity: Session;
  /** The account's key it was made with: other keys want another session. */
  readonly accountKeyId: string;
  /** By performance.now(): the server's clock and ours may differ. */
  readonly endsMs: number;
}

export class Sessions {
  readonly #client: () => S3Client;
  readonly #dateOf: (output: object) => number | undefined;
  readonly #log: Logger;
  #held: Held | undefined;
  #making: { readonly accountKeyId: string; readonly session: Promise<Held> } | undefined;

  /** `client` makes the sessions; `dateOf` gives the server's time of an answer. */
  constructor(client: () => S3Client, dateOf: (output: object) => number | undefined, log: Logger) {
    this.#client = client;
    this.#dateOf = dateOf;
    this.#log = log;
  }

  /** What clients are configured with to use these sessions. */
  get config(): Pick<S3ClientConfig, 's3ExpressIdentityProvider'> {
    const config = {
      s3ExpressIdentityProvider: {
        getS3ExpressIdentity: async (
          account: { readonly accessKeyId: string },
          properties: Readonly<Record<string, unknown>>,
        ) => this.#identity(account.accessKeyId, String(properties['Bucket'])),
      },
      // The SDK learns the service to sign for from its first call that isn't under a session; a second client makes none.
      signingName: 's3express',
    };
    return config;
  }

  /** Forgets a session once a request under it is refused for its end. */
  watch(client: S3Client): void {
    client.middlewareStack.add(
      (next, context) => async (args) => {
        try {
          return await next(args);
        } catch (error) {
          const { s3ExpressIdentity } = context as { readonly s3ExpressIdentity?: Session };
          if (s3ExpressIdentity !== undefined && error instanceof Error && SESSION_ENDED.includes(error.name))
            this.forget(s3ExpressIdentity);
          throw error;
        }
      },
      { step: 'initialize', name: 'storeSessions' },
    );
  }

  /** A request under this session was refused for its end. */
  forget(identity: Session): void {
    if (this.#held?.identity === identity) this.#held = undefined;
  }

  async #identity(accountKeyId: string, bucket: string): Promise<Session> {
    const held = this.#held;
    const now = performance.now();
    if (held === undefined || held.accountKeyId !== accountKeyId || held.endsMs <= now)
      return (await this.#make(accountKeyId, bucket)).identity;
    if (held.endsMs - now < REFRESH_BEFORE_MS) {
      this.#make(accountKeyId, bucket).catch((error: unknown) => {
        this.#log.debug({ err: error, bucket }, 'the session is not renewed yet');
      });
    }
    return held.identity;
  }

  async #make(accountKeyId: string, bucket: string): Promise<Held> {
    if (this.#making?.accountKeyId !== accountKeyId) {
      const session = this.#create(accountKeyId, bucket).finally(() => {
        if (this.#making?.session === session) this.#making = undefined;
      });
      this.#making = { accountKeyId, session };
    }
    return this.#making.session;
  }

  async #create(accountKeyId: string, bucket: string): Promise<Held> {
    const askedMs = performance.now();
    const output = await this.#client().send(new CreateSessionCommand({ Bucket: bucket }));
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = output.Credentials ?? {};
    if (AccessKeyId === undefined || SecretAccessKey === undefined || SessionToken === undefined)
      throw new Error('CreateSession gave no credentials');
    const dateMs = this.#dateOf(output);
    const lifeMs = dateMs === undefined || Expiration === undefined ? LIFE_MS : Expiration.getTime() - dateMs;
    const identity = {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
    };
    const held = { identity, accountKeyId, endsMs: askedMs + lifeMs };
    this.#held = held;
    return held;
  }
}
