/**
 * The picture of what the threads do: one line a thread, thick while it works, in the colour of its query. The topmost line is the
 * page's own thread: the time between its frames. All share one clock, so that busy threads and a calm page are seen side by side.
 */
import type { Database } from '@heddle/store';
import { element } from './dom.ts';
import { count, duration } from './format.ts';
import type { Frame } from './Pulse.ts';

type Activity = ReturnType<Database['threads']>[number];

/** How much time the picture shows. */
const SPAN_MS = 12_000;
const PAGE_LANE_HEIGHT = 52;
const LANE_HEIGHT = 34;
/** The tallest frame time that the page's line can show, and the one that it is drawn against: 60 frames a second. */
const FRAME_MS_MAX = 120;
const FRAME_MS_GOOD = 1000 / 60;
/** A pause that a visitor could notice is marked. */
const PAUSE_MS_MARKED = 50;
const LABELS_EVERY_MS = 250;
/** Painting costs as much as half a SQL thread where no graphics card helps: smooth enough, and no oftener. */
const DRAW_EVERY_MS = 80;
const DRAW_EVERY_CALM_MS = 1000;
const IDLE: Stitch = { kind: 'idle', colour: '' };
const RESERVED: Stitch = { kind: 'reserved', colour: '' };

/** What one frame saw of a thread. */
interface Stitch {
  readonly kind: 'idle' | 'reserved' | 'running' | 'blip';
  /** Of the statement that runs or, for a blip, that came and went between two frames. */
  readonly colour: string;
}

interface Sample extends Frame {
  readonly stitches: readonly Stitch[];
}

interface Lane {
  readonly name: HTMLElement;
  readonly detail: HTMLElement;
}

export interface LoomOptions {
  readonly canvas: HTMLCanvasElement;
  readonly lanes: HTMLElement;
  /** The colour of a statement, as CSS; undefined is work other than SQL: an import. */
  readonly colourOf: (sql: string | undefined) => string;
  /** What a statement is called, for people. */
  readonly nameOf: (sql: string | undefined) => string;
}

export class Loom {
  readonly #options: LoomOptions;
  readonly #context: CanvasRenderingContext2D;
  readonly #calm: MediaQueryList = matchMedia('(prefers-reduced-motion: reduce)');
  #samples: Sample[] = [];
  #lanes: Lane[] = [];
  #statements: number[] = [];
  #lastColours: string[] = [];
  #lastDrawMs = 0;
  #lastLabelsMs = 0;
  #ink = { thread: '#888', grid: '#ddd', page: '#333', late: '#c00' };

  constructor(options: LoomOptions) {
    this.#options = options;
    const context = options.canvas.getContext('2d');
    if (context === null) throw new Error('this browser draws no canvas');
    this.#context = context;
    new ResizeObserver(() => this.#resize()).observe(options.canvas);
    this.#setLanes(0);
  }

  /** Reads the colours again, after the theme has changed. */
  recolour(): void {
    const probe = element('span', { class: 'visually-hidden' });
    document.body.append(probe);
    const read = (name: string): string => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    this.#ink = { thread: read('--thread'), grid: read('--line'), page: read('--ink-2'), late: read('--bad') };
    probe.remove();
  }

  /** Takes what the threads do right now, and draws. Called for every frame. */
  frame(frame: Frame, threads: readonly Activity[]): void {
    if (threads.length !== this.#lanes.length - 1) this.#setLanes(threads.length);
    this.#samples.push(this.#sample(frame, threads));
    const oldest = frame.timeMs - SPAN_MS - 1000;
    if ((this.#samples[0]?.timeMs ?? 0) < oldest - 5000) this.#samples = this.#samples.filter(({ timeMs }) => timeMs >= oldest);
    if (frame.timeMs - this.#lastDrawMs > (this.#calm.matches ? DRAW_EVERY_CALM_MS : DRAW_EVERY_MS)) {
      this.#lastDrawMs = frame.timeMs;
      this.#draw(frame.timeMs);
    }
    if (frame.timeMs - this.#lastLabelsMs > LABELS_EVERY_MS) {
      this.#lastLabelsMs = frame.timeMs;
      this.#label(threads);
    }
  }

  #sample(frame: Frame, threads: readonly Activity[]): Sample {
    const before = this.#samples.at(-1)?.stitches;
    const stitches = threads.map(({ state, sql, statements }, index): Stitch => {
      const unseen = statements > (this.#statements[index] ?? statements);
      this.#statements[index] = statements;
      if (state === 'running') {
        const colour = this.#options.colourOf(sql);
        this.#lastColours[index] = colour;
        return { kind: 'running', colour };
      }
      if (unseen && before?.[index]?.kind !== 'running') return { kind: 'blip', colour: this.#lastColours[index] ?? this.#ink.page };
      return state === 'reserved' ? RESERVED : IDLE;
    });
    return { ...frame, stitches };
  }

  #setLanes(threads: number): void {
    this.#samples = [];
    this.#statements = [];
    this.#lastColours = [];
    this.#lanes = ['The page', ...Array.from({ length: threads }, (_, index) => `SQL ${index + 1}`)].map((text) => ({
      name: element('strong', {}, text),
      detail: element('span', { class: 'lane-detail' }),
    }));
    this.#options.lanes.replaceChildren(...this.#lanes.map(({ name, detail }) => element('li', {}, name, detail)));
    this.#options.canvas.style.height = `${PAGE_LANE_HEIGHT + threads * LANE_HEIGHT}px`;
    this.#resize();
  }

  #label(threads: readonly Activity[]): void {
    for (const [index, { state, sql, sinceMs, statements }] of threads.entries()) {
      const lane = this.#lanes[index + 1];
      if (lane === undefined) continue;
      const ran = `${count(statements)} ${statements === 1 ? 'statement' : 'statements'}`;
      const text = state === 'running' ? this.#options.nameOf(sql) : state === 'restarting' ? 'is started again' : ran;
      if (lane.detail.textContent !== text) lane.detail.textContent = text;
      lane.detail.title = sinceMs === undefined ? '' : `for ${duration(sinceMs)}`;
    }
    const late = this.#samples.slice(-60).reduce((most, { deltaMs }) => Math.max(most, deltaMs), 0);
    const page = this.#lanes[0];
    if (page !== undefined) page.detail.textContent = late === 0 ? '' : `frames ≤ ${duration(late)}`;
  }

  #resize(): void {
    const { canvas } = this.#options;
    const ratio = Math.min(2, devicePixelRatio);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#lastDrawMs = 0;
  }

  #draw(nowMs: number): void {
    const { clientWidth: width, clientHeight: height } = this.#options.canvas;
    const context = this.#context;
    context.clearRect(0, 0, width, height);
    const xOf = (timeMs: number): number => width - ((nowMs - timeMs) / SPAN_MS) * width;
    this.#drawGrid(nowMs, xOf, height);
    this.#drawPage(xOf);
    for (let index = 0; index + 1 < this.#lanes.length; index++) this.#drawThread(index, xOf, width);
  }

  #drawGrid(nowMs: number, xOf: (timeMs: number) => number, height: number): void {
    const context = this.#context;
    context.strokeStyle = this.#ink.grid;
    context.lineWidth = 1;
    context.beginPath();
    for (let second = Math.floor(nowMs / 1000); second * 1000 > nowMs - SPAN_MS; second--) {
      const x = Math.round(xOf(second * 1000)) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    context.stroke();
  }

  /** Frame times, upwards from the lane's foot; a dot where the page's thread itself was held up. */
  #drawPage(xOf: (timeMs: number) => number): void {
    const context = this.#context;
    const foot = PAGE_LANE_HEIGHT - 10;
    const yOf = (ms: number): number => foot - (Math.min(ms, FRAME_MS_MAX) / FRAME_MS_MAX) * (foot - 6);
    context.strokeStyle = this.#ink.thread;
    context.setLineDash([2, 4]);
    context.beginPath();
    context.moveTo(0, yOf(FRAME_MS_GOOD));
    context.lineTo(context.canvas.clientWidth, yOf(FRAME_MS_GOOD));
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = this.#ink.page;
    context.lineWidth = 1.5;
    context.lineJoin = 'round';
    context.beginPath();
    for (const [index, { timeMs, deltaMs }] of this.#samples.entries()) {
      if (index === 0) context.moveTo(xOf(timeMs), yOf(deltaMs));
      else context.lineTo(xOf(timeMs), yOf(deltaMs));
    }
    context.stroke();
    context.fillStyle = this.#ink.late;
    for (const { timeMs, deltaMs, pauseMs } of this.#samples) {
      if (pauseMs < PAUSE_MS_MARKED) continue;
      context.beginPath();
      context.arc(xOf(timeMs), yOf(deltaMs), 3, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** A thin line, thicker where the thread is kept for somebody, thick where it works. */
  #drawThread(index: number, xOf: (timeMs: number) => number, width: number): void {
    const y = PAGE_LANE_HEIGHT + index * LANE_HEIGHT + LANE_HEIGHT / 2;
    this.#drawLine(0, width, y, 1.5);
    let stretch: Stitch = IDLE;
    let startX = 0;
    let endX = 0;
    const flush = (): void => {
      const { kind, colour } = stretch;
      if (kind === 'reserved') this.#drawLine(startX, endX, y, 5);
      else if (kind !== 'idle') this.#drawYarn(startX, Math.max(endX, startX + 3), y, colour);
    };
    for (const { timeMs, deltaMs, stitches } of this.#samples) {
      const stitch = stitches[index] ?? IDLE;
      if (stitch.kind !== stretch.kind || stitch.colour !== stretch.colour) {
        flush();
        stretch = stitch;
        startX = xOf(timeMs - deltaMs);
      }
      endX = xOf(timeMs);
    }
    flush();
  }

  #drawLine(startX: number, endX: number, y: number, thickness: number): void {
    const context = this.#context;
    context.strokeStyle = this.#ink.thread;
    context.lineWidth = thickness;
    context.beginPath();
    context.moveTo(startX, y);
    context.lineTo(endX, y);
    context.stroke();
  }

  /** A stretch of work: a round bar with the twist of yarn. */
  #drawYarn(startX: number, endX: number, y: number, colour: string): void {
    const context = this.#context;
    const thickness = 16;
    context.save();
    context.beginPath();
    context.roundRect(startX, y - thickness / 2, endX - startX, thickness, Math.min(5, (endX - startX) / 2));
    context.fillStyle = colour;
    context.fill();
    context.clip();
    context.strokeStyle = 'rgb(255 255 255 / 0.16)';
    context.lineWidth = 2.5;
    context.beginPath();
    const first = Math.max(-thickness, startX - thickness);
    // The twist is fixed to the stretch, so that it moves with it.
    for (let x = first - ((first - startX) % 9); x < endX + thickness; x += 9) {
      context.moveTo(x, y + thickness / 2);
      context.lineTo(x + thickness * 0.7, y - thickness / 2);
    }
    context.stroke();
    context.restore();
  }
}
