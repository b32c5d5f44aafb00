/** The key pair of an embedded store: given, or made once and kept where only the owner reads it. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from './start-error.js';

export interface StoreCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The file's name below the store's directory. */
export const CREDENTIALS_FILE = 'credentials.json';

/** The pair kept in `directory`; made (mode 0600) when there is none. Fails with StartError on a file that isn't one. */
export async function keptCredentials(directory: string): Promise<StoreCredentials> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, CREDENTIALS_FILE);
  const made: StoreCredentials = {
    // The lengths that AWS has, so that tools which check them are content.
    accessKeyId: `S3NFSD${randomBytes(7).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64url'),
  };
  try {
    // `wx`: of two starts at a time one makes the file and the other reads it.
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(made, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    return made;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return parseCredentials(await readFile(path, 'utf8'), path);
  }
}

function parseCredentials(text: string, path: string): StoreCredentials {
  try {
    const { accessKeyId, secretAccessKey } = JSON.parse(text) as Partial<StoreCredentials>;
    if (typeof accessKeyId === 'string' && typeof secretAccessKey === 'string') {
      return { accessKeyId, secretAccessKey };
    }
  } catch (error) {
    throw new StartError(`${path} is not JSON; remove it to have new credentials made`, { cause: error });
  }
  throw new StartError(
    `${path} lacks accessKeyId or secretAccessKey; remove it to have new credentials made`,
  );
}
