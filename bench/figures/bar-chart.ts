/** Horizontal bars on a logarithmic scale from 1, with the span of the rounds and a target's line, as an SVG of plain shapes. Pure. */

export interface Bar {
  readonly label: string;
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
  readonly target?: number;
  /** Whether the target is met; undefined where there is none. */
  readonly met?: boolean;
}

export interface Chart {
  readonly title: string;
  /** What a bar is, in words. */
  readonly subtitle: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 840;
const LABEL_WIDTH = 230;
const VALUE_WIDTH = 150;
const ROW_HEIGHT = 26;
const HEAD_HEIGHT = 62;
const FOOT_HEIGHT = 34;
const PLOT_WIDTH = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const COLOURS = { met: '#2a7f4f', missed: '#c2571a', none: '#5b7083', line: '#1f2933', grid: '#d9dfe5' };
const FONT = 'font-family="system-ui, sans-serif"';

export function barChart({ title, subtitle, bars }: Chart): string {
  const values = bars.flatMap(({ least, greatest, target = 1 }) => [least, greatest, target]);
  const low = Math.min(0.5, ...values.filter((value) => value > 0)) / 1.1;
  const high = Math.max(2, ...values) * 1.1;
  const place = (value: number): number => {
    const part = Math.log(Math.max(value, low) / low) / Math.log(high / low);
    return LABEL_WIDTH + part * PLOT_WIDTH;
  };
  const height = HEAD_HEIGHT + bars.length * ROW_HEIGHT + FOOT_HEIGHT;
  const bottom = height - FOOT_HEIGHT;
  const shapes = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, title, 'font-size="17" font-weight="600"'),
    text(16, 46, subtitle, 'font-size="12" fill="#52606d"'),
    ...ticks(low, high).flatMap((value) => [
      line(place(value), HEAD_HEIGHT - 4, bottom, value === 1 ? COLOURS.line : COLOURS.grid),
      text(place(value), bottom + 16, String(value), 'font-size="11" fill="#52606d" text-anchor="middle"'),
    ]),
    ...bars.flatMap((bar, row) => rowOf(bar, HEAD_HEIGHT + row * ROW_HEIGHT, place)),
  ];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
    `role="img" aria-label="${escaped(title)}">\n${shapes.join('\n')}\n</svg>\n`
  );
}

function rowOf(bar: Bar, top: number, place: (value: number) => number): string[] {
  const { label, median, least, greatest, target, met } = bar;
  const middle = top + ROW_HEIGHT / 2;
  const colour = met === undefined ? COLOURS.none : met ? COLOURS.met : COLOURS.missed;
  const [from, to] = [Math.min(place(1), place(median)), Math.max(place(1), place(median))];
  const shapes = [
    text(LABEL_WIDTH - 10, middle + 4, label, 'font-size="12" text-anchor="end"'),
    `<rect x="${fixed(from)}" y="${top + 5}" width="${fixed(Math.max(to - from, 1))}" height="${ROW_HEIGHT - 10}" fill="${colour}"/>`,
    `<path d="M${fixed(place(least))} ${middle}H${fixed(place(greatest))}" stroke="${COLOURS.line}" stroke-width="1.5"/>`,
  ];
  if (target !== undefined)
    shapes.push(
      `<path d="M${fixed(place(target))} ${top + 1}V${top + ROW_HEIGHT - 1}" stroke="${COLOURS.line}" stroke-width="2" stroke-dasharray="4 2"/>`,
    );
  const wanted = target === undefined ? '' : ` (target ${target})`;
  shapes.push(text(WIDTH - VALUE_WIDTH + 10, middle + 4, `${shown(median)}${wanted}`, 'font-size="12"'));
  return shapes;
}

/** 1, 2, 5 and so on, over so many decades. */
function ticks(low: number, high: number): number[] {
  const found: number[] = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++)
    for (const step of high / low > 200 ? [1] : [1, 2, 5]) {
      const value = Number((step * 10 ** decade).toPrecision(3));
      if (value >= low && value <= high) found.push(value);
    }
  return found;
}

const text = (x: number, y: number, content: string, more: string): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}" ${FONT} ${more}>${escaped(content)}</text>`;

const line = (x: number, top: number, bottom: number, colour: string): string =>
  `<path d="M${fixed(x)} ${top}V${bottom}" stroke="${colour}"/>`;

const fixed = (value: number): string => value.toFixed(1);

/** Three digits that count. */
const shown = (value: number): string => String(Number(value.toPrecision(3)));

const escaped = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
