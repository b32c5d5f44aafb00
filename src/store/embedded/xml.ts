/** XML of S3: a small escaping builder for answers, and a bounded, strict reader for request documents. */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { S3Error } from './errors.js';

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A child element: text, or elements of its own; `undefined` is left out. */
export type XmlContent = string | number | boolean | readonly XmlElement[];
export type XmlElement = readonly [name: string, content: XmlContent | undefined];

/** Control characters become references, as S3 sends them: a key may hold any character, XML 1.0 or not. */
function escapeText(text: string): string {
  return text.replace(/[&<>"\u0000-\u001f\u007f\ufffe\uffff]/g, (character) => {
    switch (character) {
      case '&':
        return '&amp;';
      case '<':
        return '&lt;';
      case '>':
        return '&gt;';
      case '"':
        return '&quot;';
      default:
        return `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`;
    }
  });
}

function render([name, content]: XmlElement): string {
  if (content === undefined) return '';
  if (typeof content === 'object') return `<${name}>${content.map(render).join('')}</${name}>`;
  return `<${name}>${escapeText(String(content))}</${name}>`;
}

/** A whole document of S3's namespace; errors have none. */
export function xmlDocument(root: string, content: XmlContent, namespace = true): string {
  const open = namespace ? `<${root} xmlns="${NAMESPACE}">` : `<${root}>`;
  const inner = typeof content === 'object' ? content.map(render).join('') : escapeText(String(content));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${open}${inner}</${root}>`;
}

/** An element of a parsed request: its text, and its children in order. */
export interface XmlNode {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlNode[];
}

const parser = (): XMLParser =>
  new XMLParser({
    preserveOrder: true,
    ignoreAttributes: true,
    removeNSPrefix: true,
    parseTagValue: false,
    // A key may begin or end with blanks.
    trimValues: false,
    // References are resolved here, once: no entity is ever declared.
    processEntities: false,
    ignoreDeclaration: true,
    ignorePiTags: true,
  });

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function resolveReferences(text: string): string {
  return text.replace(/&([^;]{0,10});?/g, (whole, name: string) => {
    const numeric = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/.exec(name);
    if (numeric !== null) {
      const code = numeric[1] !== undefined ? parseInt(numeric[1], 16) : Number(numeric[2]);
      // Halves of a surrogate pair are no characters.
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw new S3Error('MalformedXML');
      return String.fromCodePoint(code);
    }
    const value = NAMED[name];
    if (value === undefined || !whole.endsWith(';')) throw new S3Error('MalformedXML');
    return value;
  });
}

function toNodes(parsed: unknown): { nodes: XmlNode[]; text: string } {
  const nodes: XmlNode[] = [];
  let text = '';
  if (!Array.isArray(parsed)) throw new S3Error('MalformedXML');
  for (const item of parsed as readonly Record<string, unknown>[]) {
    for (const [name, content] of Object.entries(item)) {
      if (name === ':@') continue;
      if (name === '#text') {
        text += resolveReferences(String(content));
      } else {
        const inner = toNodes(content);
        nodes.push({ name, text: inner.text, children: inner.nodes });
      }
    }
  }
  return { nodes, text };
}

/** What the parser refuses, elements nested beyond its limit among it, is malformed. */
function parsed(text: string): unknown {
  try {
    return parser().parse(text);
  } catch (error) {
    throw new S3Error('MalformedXML', undefined, {}, { cause: error });
  }
}

/** Reads a request document whose root must be `root`; anything else is MalformedXML. Document types are refused. */
export function parseXml(body: Buffer, root: string): XmlNode {
  const text = body.toString('utf8');
  if (/<!/.test(text) || XMLValidator.validate(text) !== true) throw new S3Error('MalformedXML');
  const { nodes } = toNodes(parsed(text));
  const [document] = nodes;
  if (document === undefined || nodes.length !== 1 || document.name !== root)
    throw new S3Error('MalformedXML');
  return document;
}

/** The text of the one child of that name, or undefined. */
export function childText(node: XmlNode, name: string): string | undefined {
  return node.children.find((child) => child.name === name)?.text;
}
