/** A text area over its own coloured text. Typing, selecting, undo and accessibility are the browser's. */
import { element } from './dom.ts';
import { highlight } from './highlight.ts';

export class SqlEditor {
  readonly #area: HTMLTextAreaElement;
  readonly #paint: HTMLElement;

  constructor(parent: HTMLElement, { label, value, onRun }: { label: string; value: string; onRun: () => void }) {
    this.#paint = element('code');
    this.#area = element('textarea', { 'aria-label': label, spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off' });
    const backdrop = element('pre', { 'aria-hidden': 'true' }, this.#paint);
    parent.append(backdrop, this.#area);
    this.#area.addEventListener('input', () => this.#repaint());
    this.#area.addEventListener('scroll', () => backdrop.scrollTo(this.#area.scrollLeft, this.#area.scrollTop));
    this.#area.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      onRun();
    });
    this.value = value;
  }

  get value(): string {
    return this.#area.value;
  }

  set value(text: string) {
    this.#area.value = text;
    this.#repaint();
  }

  focus(): void {
    this.#area.focus();
  }

  /** Underlines the word at `offset`; undefined takes the mark away. */
  markError(offset: number | undefined): void {
    this.#repaint(offset);
  }

  #repaint(errorOffset?: number): void {
    // A last empty line has a height in a text area only: the space gives it one here.
    this.#paint.replaceChildren(...highlight(this.#area.value, errorOffset), ' ');
  }
}
