/**
 * Object tags: read from the `x-amz-tagging` header (as the parameters of a URL) and from Tagging documents, and held to S3's limits
 * (user guide, "Categorizing your objects using tags").
 */
import { S3Error } from './errors.js';
import { childText, parseXml, type XmlElement } from './xml.js';

/** Values by keys, in the order given. */
export type Tags = Readonly<Record<string, string>>;

const TAGS_MAX = 10;
/** In Unicode characters, as UTF-16 has them. */
const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 256;

/** Letters, digits and spaces of any script, and `+ - = . _ : / @`. */
const ALLOWED = /^[\p{L}\p{N}\p{Z}+\-=._:/@]*$/u;

/** Fails with InvalidTag, or BadRequest for more than ten; undefined for none. */
function checked(pairs: readonly (readonly [key: string, value: string])[]): Tags | undefined {
  if (pairs.length > TAGS_MAX)
    throw new S3Error('BadRequest', `Object tags cannot be greater than ${TAGS_MAX}`);
  const tags = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (key === '' || key.length > KEY_LENGTH_MAX || !ALLOWED.test(key)) {
      throw new S3Error('InvalidTag', 'The TagKey you have provided is invalid', { TagKey: key });
    }
    if (value.length > VALUE_LENGTH_MAX || !ALLOWED.test(value)) {
      throw new S3Error('InvalidTag', 'The TagValue you have provided is invalid', {
        TagKey: key,
        TagValue: value,
      });
    }
    if (key.startsWith('aws:')) {
      throw new S3Error('InvalidTag', 'User-defined tag keys can\'t start with "aws:"', { TagKey: key });
    }
    if (tags.has(key)) {
      throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key', { TagKey: key });
    }
    tags.set(key, value);
  }
  return tags.size === 0 ? undefined : Object.fromEntries(tags);
}

/** The tags of an `x-amz-tagging` header; undefined without one. Fails with InvalidArgument, InvalidTag or BadRequest. */
export function tagsOfHeader(headers: ReadonlyMap<string, string>): Tags | undefined {
  const header = headers.get('x-amz-tagging');
  if (header === undefined || header === '') return undefined;
  const decode = (text: string): string => {
    try {
      return decodeURIComponent(text.replaceAll('+', ' '));
    } catch (error) {
      throw new S3Error(
        'InvalidArgument',
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
        { ArgumentName: 'x-amz-tagging', ArgumentValue: header },
        { cause: error },
      );
    }
  };
  return checked(
    header.split('&').map((pair) => {
      const at = pair.indexOf('=');
      return at < 0 ? [decode(pair), ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
    }),
  );
}

/** The tags of a Tagging document. Fails with MalformedXML, InvalidTag or BadRequest. */
export function tagsOfDocument(body: Buffer): Tags | undefined {
  const sets = parseXml(body, 'Tagging').children.filter(({ name }) => name === 'TagSet');
  const [set] = sets;
  if (set === undefined || sets.length > 1 || set.children.some(({ name }) => name !== 'Tag')) {
    throw new S3Error('MalformedXML');
  }
  return checked(
    set.children.map((tag): [string, string] => {
      const key = childText(tag, 'Key');
      const value = childText(tag, 'Value');
      if (key === undefined || value === undefined) throw new S3Error('MalformedXML');
      return [key, value];
    }),
  );
}

export function tagSetElement(tags: Tags | undefined): XmlElement {
  return [
    'TagSet',
    Object.entries(tags ?? {}).map(([key, value]): XmlElement => [
      'Tag',
      [
        ['Key', key],
        ['Value', value],
      ],
    ]),
  ];
}

/** `x-amz-tagging-count` of GET and HEAD; nothing for an object without tags. */
export function tagCountHeaders(tags: Tags | undefined): Record<string, string> {
  return tags === undefined ? {} : { 'x-amz-tagging-count': String(Object.keys(tags).length) };
}
