/**
 * Bars and lines in SVG, by hand: the page needs two kinds of chart over a few dozen values, which is less code than the configuration
 * of a charting library and nothing to download.
 */
import { element, svg } from './dom.ts';
import { compact, count } from './format.ts';

export interface Point {
  readonly x: string;
  readonly y: number;
}

export interface ChartData {
  readonly kind: 'bars' | 'line';
  readonly points: readonly Point[];
  /** What the values mean. */
  readonly label: string;
  readonly colour: string;
  /** How many points there were before the chart was cut to what can be told apart. */
  readonly pointsTotal: number;
}

const HEIGHT = 260;
const MARGIN = { top: 14, right: 6, bottom: 30, left: 46 };
const CHARACTER_WIDTH = 7;

export class Chart {
  readonly root: HTMLElement;
  readonly #data: ChartData;
  readonly #tip: HTMLElement = element('div', { class: 'chart-tip', hidden: '' });
  readonly #frame: HTMLElement = element('div', { class: 'chart-frame' });

  constructor(data: ChartData) {
    this.#data = data;
    const cut = data.points.length < data.pointsTotal ? ` · the first ${data.points.length} of ${count(data.pointsTotal)}` : '';
    this.root = element('figure', { class: 'chart' }, element('figcaption', {}, data.label + cut), this.#frame, this.#tip);
    this.#frame.style.setProperty('--colour', data.colour);
    let width = 0;
    new ResizeObserver(() => {
      if (this.#frame.clientWidth === width || this.#frame.clientWidth === 0) return;
      width = this.#frame.clientWidth;
      this.#draw(width);
    }).observe(this.#frame);
    this.#frame.addEventListener('pointermove', (event) => this.#point(event));
    this.#frame.addEventListener('pointerleave', () => (this.#tip.hidden = true));
  }

  #draw(width: number): void {
    const { points, kind, label } = this.#data;
    const scale = niceScale(Math.min(0, ...points.map(({ y }) => y)), Math.max(0, ...points.map(({ y }) => y)));
    const plotWidth = width - MARGIN.left - MARGIN.right;
    const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
    const yOf = (value: number): number => MARGIN.top + plotHeight * (1 - (value - scale.least) / (scale.most - scale.least));
    const step = plotWidth / points.length;
    const xOf = (index: number): number => MARGIN.left + step * (index + 0.5);

    const image = svg('svg', {
      width,
      height: HEIGHT,
      role: 'img',
      'aria-label': `${label}: ${summary(points)}. The rows tab has every value.`,
    });
    for (const tick of scale.ticks) {
      const y = yOf(tick);
      image.append(
        svg('line', { x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y, class: tick === 0 ? 'chart-axis' : 'chart-grid' }),
        svg('text', { x: MARGIN.left - 8, y: y + 4, 'text-anchor': 'end', class: 'chart-label' }, compact(tick)),
      );
    }
    if (kind === 'bars') {
      const barWidth = Math.max(1, Math.min(48, step * 0.72));
      for (const [index, { y }] of points.entries()) {
        const top = Math.min(yOf(y), yOf(0));
        const height = Math.max(1, Math.abs(yOf(y) - yOf(0)));
        image.append(
          svg('rect', { x: xOf(index) - barWidth / 2, y: top, width: barWidth, height, rx: Math.min(3, barWidth / 4), class: 'chart-bar' }),
        );
      }
    } else {
      const line = points.map(({ y }, index) => `${index === 0 ? 'M' : 'L'}${xOf(index).toFixed(1)} ${yOf(y).toFixed(1)}`).join('');
      const area = `${line}L${xOf(points.length - 1)} ${yOf(0)}L${xOf(0)} ${yOf(0)}Z`;
      image.append(svg('path', { d: area, class: 'chart-area' }), svg('path', { d: line, class: 'chart-line' }));
      if (points.length <= 60)
        for (const [index, { y }] of points.entries())
          image.append(svg('circle', { cx: xOf(index), cy: yOf(y), r: 2.5, class: 'chart-dot' }));
    }
    image.append(...this.#axisLabels(xOf, step));
    this.#frame.replaceChildren(image);
  }

  /** Labels along the axis: as many as fit without touching each other. */
  #axisLabels(xOf: (index: number) => number, step: number): SVGTextElement[] {
    const { points } = this.#data;
    const longest = Math.max(...points.map(({ x }) => x.length));
    const each = Math.max(1, Math.ceil(((longest + 1.5) * CHARACTER_WIDTH) / step));
    const labels: SVGTextElement[] = [];
    for (let index = 0; index < points.length; index += each)
      labels.push(svg('text', { x: xOf(index), y: HEIGHT - 10, 'text-anchor': 'middle', class: 'chart-label' }, points[index]?.x ?? ''));
    return labels;
  }

  #point(event: PointerEvent): void {
    const { points } = this.#data;
    const bounds = this.#frame.getBoundingClientRect();
    const plotWidth = bounds.width - MARGIN.left - MARGIN.right;
    const index = Math.floor(((event.clientX - bounds.left - MARGIN.left) / plotWidth) * points.length);
    const found = points[index];
    this.#tip.hidden = found === undefined;
    if (found === undefined) return;
    this.#tip.replaceChildren(element('span', {}, found.x), element('strong', { class: 'figure' }, count(found.y)));
    const left = MARGIN.left + (plotWidth / points.length) * (index + 0.5);
    this.#tip.style.left = `${Math.min(Math.max(left, 60), bounds.width - 60)}px`;
  }
}

function summary(points: readonly Point[]): string {
  const greatest = points.reduce((best, point) => (point.y > best.y ? point : best), points[0] ?? { x: '', y: 0 });
  return `${points.length} values, the greatest ${count(greatest.y)} at ${greatest.x}`;
}

/** Round numbers that enclose `least` … `most`. */
function niceScale(least: number, most: number): { least: number; most: number; ticks: number[] } {
  const span = most - least || 1;
  const rough = span / 4;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5].find((factor) => factor * magnitude >= rough) ?? 10) * magnitude;
  const first = Math.floor(least / step);
  const last = Math.max(Math.ceil(most / step), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { least: first * step, most: last * step, ticks };
}
