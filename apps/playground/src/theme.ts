/** Light, dark, or as the system has it; remembered. */
import { byId } from './dom.ts';

const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];
const WORDS: Record<Theme, string> = { system: 'System', light: 'Light', dark: 'Dark' };
const STORAGE_KEY = 'heddle-theme';

/** Puts the remembered theme on and lets the button go through all three. `onChange` is told after every change of colours. */
export function startTheme(onChange: () => void): void {
  const button = byId('theme');
  let theme = THEMES.find((candidate) => candidate === localStorage.getItem(STORAGE_KEY)) ?? 'system';
  const apply = (): void => {
    document.documentElement.dataset['theme'] = theme;
    byId('theme-text').textContent = WORDS[theme];
    button.setAttribute('aria-label', `Colours: ${theme === 'system' ? 'as the system' : theme}. Change.`);
    onChange();
  };
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system';
    localStorage.setItem(STORAGE_KEY, theme);
    apply();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
  apply();
}
