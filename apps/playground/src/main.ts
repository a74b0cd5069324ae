import { DemoQueries } from './DemoQueries.ts';
import { byId } from './dom.ts';
import { Flights } from './Flights.ts';
import { compact, count, duration } from './format.ts';
import { Loom } from './Loom.ts';
import { OwnSql } from './OwnSql.ts';
import { colourOf, nameOf } from './palette.ts';
import { describeProblem, NOT_ISOLATED, type Problem } from './problems.ts';
import { Pulse } from './Pulse.ts';
import { startTheme } from './theme.ts';

type State = 'starting' | 'empty' | 'importing' | 'ready' | 'failed';

const THREADS_KEY = 'heddle-threads';
const THREADS_DEFAULT = 4;
const LABELS_EVERY_MS = 250;

const flights = new Flights();
const queries = new DemoQueries({
  flights,
  onEdit: (sql) => own.edit(sql),
  onBusy: (busy) => (byId('threads-choice', HTMLFieldSetElement).disabled = busy),
  onAnnounce: announce,
});
const own = new OwnSql(flights, () => void flights.count().then(() => setState(flights.rowsTotal > 0 ? 'ready' : 'empty')));
const loom = new Loom({ canvas: byId('loom', HTMLCanvasElement), lanes: byId('lanes'), colourOf, nameOf });
const pulse = new Pulse((frame) => {
  loom.frame(frame, flights.isOpen ? flights.db.threads() : []);
  showPulse(frame.timeMs);
});
let pulseShownMs = 0;
let importCancel = new AbortController();

startTheme(() => loom.recolour());
byId('pulse-reset').addEventListener('click', () => pulse.reset());
byId('import').addEventListener('click', () => void importFlights());
byId('import-cancel').addEventListener('click', () => importCancel.abort());
byId('remove').addEventListener('click', () => void removeFlights());
byId('threads-choice').addEventListener('change', () => void openFlights(chosen('threads')));
byId('problem-retry').addEventListener('click', () => void openFlights(chosen('threads')));
byId('cores-text').textContent = `${navigator.hardwareConcurrency} ${navigator.hardwareConcurrency === 1 ? 'core' : 'cores'} here`;
// What another tab has imported or removed is seen when this one is looked at.
document.addEventListener('visibilitychange', () => void lookAgain());
choose('threads', Number(localStorage.getItem(THREADS_KEY) ?? THREADS_DEFAULT));

if (crossOriginIsolated) await openFlights(chosen('threads'));
else showProblem(NOT_ISOLATED);

async function openFlights(threads: number): Promise<void> {
  setState('starting');
  showProblem(undefined);
  try {
    await flights.open(threads, {
      onRestart: () => announce('The engine stopped, and was started again'),
      onRole: showRole,
    });
    localStorage.setItem(THREADS_KEY, String(threads));
    showRole();
    queries.forgetTimes();
    setState(flights.rowsTotal > 0 ? 'ready' : 'empty');
    // Starting is work, not a pause between a visitor's clicks.
    pulse.reset();
  } catch (error) {
    showProblem(describeProblem(error));
  }
}

async function lookAgain(): Promise<void> {
  const { state } = document.body.dataset;
  if (document.hidden || (state !== 'empty' && state !== 'ready')) return;
  await flights.count();
  setState(flights.rowsTotal > 0 ? 'ready' : 'empty');
}

async function importFlights(): Promise<void> {
  const rows = chosen('rows');
  const cancel = (importCancel = new AbortController());
  const bar = byId('import-progress', HTMLProgressElement);
  const show = (done: number): void => {
    bar.value = done / rows;
    byId('import-text').textContent = `${compact(done)} of ${compact(rows)}`;
  };
  show(0);
  setState('importing');
  const start = performance.now();
  try {
    await flights.import({ rows, signal: cancel.signal, onProgress: show });
    byId('storage-text').textContent = `flights, imported in ${duration(performance.now() - start)}`;
    announce(`${count(flights.rowsTotal)} flights imported`);
  } catch (error) {
    const problem = describeProblem(error);
    if (!cancel.signal.aborted) byId('data-text').textContent = `${problem.title}. ${problem.text}`;
    announce(problem.title);
  }
  queries.forgetTimes();
  setState(flights.rowsTotal > 0 ? 'ready' : 'empty');
}

async function removeFlights(): Promise<void> {
  await flights.remove();
  queries.forgetTimes();
  setState('empty');
}

function setState(state: State): void {
  document.body.dataset['state'] = state;
  byId('data-import').hidden = state === 'ready' || state === 'importing';
  byId('data-progress').hidden = state !== 'importing';
  byId('data-present').hidden = state !== 'ready';
  byId('import', HTMLButtonElement).disabled = state !== 'empty';
  byId('threads-choice', HTMLFieldSetElement).disabled = state !== 'empty' && state !== 'ready';
  byId('rows-present').textContent = count(flights.rowsTotal);
  queries.enabled = state === 'ready';
  own.enabled = state === 'empty' || state === 'ready' || state === 'importing';
}

function showProblem(problem: Problem | undefined): void {
  byId('problem').hidden = problem === undefined;
  if (problem === undefined) return;
  setState('failed');
  byId('problem-title').textContent = problem.title;
  byId('problem-text').textContent = problem.text;
  byId('problem-code').hidden = problem.code === undefined;
  byId('problem-code').textContent = problem.code ?? '';
  byId('problem-retry').hidden = !problem.retry;
}

/** Which tab runs the engine, where there is more than one. Its count of threads is that tab's choice. */
function showRole(): void {
  const follows = flights.isOpen && flights.db.role === 'follower';
  byId('role').hidden = !follows;
  byId('threads-choice').hidden = follows;
}

function showPulse(timeMs: number): void {
  if (timeMs - pulseShownMs < LABELS_EVERY_MS) return;
  pulseShownMs = timeMs;
  byId('fps').textContent = String(pulse.framesPerSecond());
  byId('longest-pause').textContent = duration(pulse.longestPauseMs);
  byId('pulse').dataset['longestPauseMs'] = pulse.longestPauseMs.toFixed(1);
}

function announce(sentence: string): void {
  byId('status').textContent = sentence;
}

function chosen(name: 'rows' | 'threads'): number {
  return Number(document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value);
}

function choose(name: 'rows' | 'threads', value: number): void {
  const inputs = [...document.querySelectorAll<HTMLInputElement>(`input[name="${name}"]`)];
  const input =
    inputs.find((candidate) => Number(candidate.value) === value) ??
    inputs.find((candidate) => Number(candidate.value) === THREADS_DEFAULT);
  if (input !== undefined) input.checked = true;
}
