/** The embedded S3 server as a process of its own that tells its parent what it was asked. Arguments: directory, keys. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbeddedStore } from '../src/store/embedded/server.js';

const [directory = '', accessKeyId = '', secretAccessKey = '', port = '0'] = process.argv.slice(2);
await mkdir(join(directory, 'bench'), { recursive: true });
const requests = new Map<string, number>();
const store = await startEmbeddedStore({
  directory,
  host: '127.0.0.1',
  port: Number(port),
  accessKeyId,
  secretAccessKey,
  onRequest: ({ operation }) => requests.set(operation, (requests.get(operation) ?? 0) + 1),
});
process.on('message', () => process.send?.(Object.fromEntries(requests)));
process.on('disconnect', () => process.exit());
process.send?.({ endpoint: store.endpoint });
