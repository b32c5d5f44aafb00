import fc from '../../support/fast-check.js';
import t from 'tap';
import { childText, parseXml, xmlDocument } from '../../../src/store/embedded/xml.js';

const MALFORMED = { code: 'MalformedXML' };
const keyDocument = (text: string): Buffer => Buffer.from(`<Delete><Key>${text}</Key></Delete>`);

await t.test('documents made to break the reader are malformed', async (t) => {
  const bomb = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><Delete><Key>&b;</Key></Delete>`;
  t.throws(() => parseXml(Buffer.from(bomb), 'Delete'), MALFORMED, 'entities');
  for (const depth of [1000, 100_000]) {
    const nested = `<Delete>${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}</Delete>`;
    t.throws(() => parseXml(Buffer.from(nested), 'Delete'), MALFORMED, `${depth} elements in each other`);
  }
  for (const text of ['&b;', '&amp', '&#65', '&#x110000;', '&#xD800;', '&#xDFFF;', '&#56320;', '&#x;']) {
    t.throws(() => parseXml(keyDocument(text), 'Delete'), MALFORMED, text);
  }
});

await t.test('any key comes back as it was written', async () => {
  const character = fc.oneof(
    fc.constantFrom(
      '\0',
      '\r',
      '\n',
      '\t',
      '\u001f',
      '&',
      '<',
      '>',
      '"',
      "'",
      ']]>',
      ' ',
      '\uffff',
      '\ufeff',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }),
  );
  fc.assert(
    fc.property(fc.array(character, { minLength: 1, maxLength: 20 }), (parts) => {
      const key = `${parts.join('')}.`;
      const document = xmlDocument('Delete', [['Key', key]]);
      return childText(parseXml(Buffer.from(document), 'Delete'), 'Key') === key;
    }),
  );
});
