/** How large the GETs are of what is fetched before anybody reads it. */
import t from 'tap';
import { READ_DEFAULTS } from '../../src/read/options.js';
import { partsAhead } from '../../src/read/parts.js';

const MIB = 1024 * 1024;
const BYTES = 8 * MIB;

await t.test('a file ahead from a near store comes in few GETs, however soon their first byte does', (t) => {
  for (const worthBytes of [1, MIB, Infinity]) {
    const spans = partsAhead(BYTES, { gets: 4, worthBytes }, READ_DEFAULTS);
    t.equal(spans.length, BYTES / READ_DEFAULTS.partBytesEfficient, `${worthBytes} bytes are worth a GET`);
  }
  t.end();
});

await t.test('from a far one in as many as are worth it, and none is smaller than the least', (t) => {
  const spans = partsAhead(BYTES - 1, { gets: 32, worthBytes: 240_000 }, READ_DEFAULTS);
  t.equal(spans.length, BYTES / READ_DEFAULTS.partBytesMin);
  t.equal(spans.at(-1)?.end, BYTES - 1);
  t.end();
});
