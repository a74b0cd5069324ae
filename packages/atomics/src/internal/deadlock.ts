/**
 * Help with deadlocks, for development: who waits for whom, and who takes locks in opposite orders, in words.
 *
 * Once detection is on, a registered thread that is about to block for a mutex, or for the turn to read or write, follows who holds it,
 * what that thread waits for, who holds that, and so on. If it meets itself the wait would never end, and it throws. Of the threads of a
 * circle at least the last to fall asleep sees it, for each says what it waits for before it looks.
 *
 * It costs nothing while it is off but one test before each sleep, and nothing where a lock is free either way. It sees waits without
 * a time limit (others in the circle may have one) that block: asynchronous ones hold up no thread, and are in no registry.
 *
 * Given a record of orders (LockOrder.ts) it also throws where nobody waits: when a thread is about to block, should it have to, for the lock
 * B while it holds A, and somebody has done so the other way round before, by one step or several. It keeps the orders of locks that have
 * a name on the thread that takes them: an unnamed lock may be gone tomorrow, and another one in its place. What is taken in a form that
 * tries, has a time limit or is asynchronous counts as held, but its taking is no order: it ends by itself, or blocks no thread. A read
 * counts as a write does, since a writer that waits between two readers makes one wait for the other. That costs each lock one test while it
 * is off.
 */
import { DeadlockError, LockOrderError } from '../errors.ts';
import type { Agent, AgentRegistry } from './agent.ts';
import { OWNER_GENERATION_SHIFT, OWNER_SLOT_MASK, SLOT_UNREGISTERED } from './layout.ts';

/** Somebody took a lock while it held another. */
export interface OrderLink {
  /** Where the lock that it held is in the memory, in bytes. */
  readonly from: number;
  /** Where the lock that it took is. */
  readonly to: number;
  /** The token of the thread. */
  readonly token: number;
}

/** The orders in which the threads of a memory take its locks; `LockOrder` is one. */
export interface LockOrderRecord {
  /** The registry of that memory. */
  readonly registry: AgentRegistry;
  /** How many orders found no room. */
  readonly leftOut: number;
  /** Notes an order, or tells what others did before if it is opposite to that. */
  add(link: OrderLink): OrderLink[] | undefined;
}

/** What {@link enableDeadlockDetection} looks for besides circles. */
export interface DeadlockDetectionOptions {
  /** The record in which the threads of a memory keep the orders of their locks, the same for all of them. */
  readonly order?: LockOrderRecord;
}

interface KeptOrder {
  readonly record: LockOrderRecord;
  /** The named locks that this thread holds, as often as it does. */
  readonly held: number[];
}

let isEnabled = false;
const orders = new WeakMap<AgentRegistry, KeptOrder>();
/** What a lock looks at before anything here. */
export const detection: { keepsOrder: boolean } = { keepsOrder: false };
const threadNames = new Map<number, string>();
const lockNames = new WeakMap<AgentRegistry, Map<number, string>>();

/** Has this thread look for circles before it blocks, and for opposite orders if told where those are kept; each thread decides for itself. */
export function enableDeadlockDetection({ order }: DeadlockDetectionOptions = {}): void {
  isEnabled = true;
  if (order === undefined) return;
  orders.set(order.registry, { record: order, held: orders.get(order.registry)?.held ?? [] });
  detection.keepsOrder = true;
}

/** Keeps what a thread is called in this thread's reports. */
export function keepThreadName(token: number, name: string): void {
  threadNames.set(token, name);
}

/** Keeps what the lock at `address` is called in this thread's reports. */
export function keepLockName(registry: AgentRegistry, address: number, name: string): void {
  const names = lockNames.get(registry) ?? new Map<number, string>();
  lockNames.set(registry, names.set(address, name));
}

/** One thread of a circle, and what it waits for. */
export interface WaitLink {
  /** The token of the thread that waits. */
  readonly token: number;
  /** Where the lock that it waits for is in the memory, in bytes. */
  readonly address: number;
}

/**
 * Looks whether this thread, which has said that it waits for the lock at `address`, would wait for itself.
 *
 * @throws DeadlockError `DEADLOCK` if so
 */
export function checkDeadlock(registry: AgentRegistry | undefined, token: number, address: number): void {
  if (!isEnabled || registry === undefined) return;
  const circle = registry.waitCircle(token, address);
  if (circle === undefined) return;
  const links = circle.map((link) => `${threadOf(link.token)} waits for ${lockAt(registry, link.address)}`);
  const words = `${links.join(', which is held by ')}, which is held by ${threadOf(token)}`;
  throw new DeadlockError(words, circle);
}

/** What is kept of the lock at `address`, if anything is. */
function orderOf({ registry }: Agent, address: number): KeptOrder | undefined {
  if (registry === undefined || lockNames.get(registry)?.has(address) !== true) return undefined;
  return orders.get(registry);
}

/**
 * Notes that this thread is about to take the lock at `address`, for as long as it takes.
 *
 * @throws LockOrderError `LOCK_ORDER` if a lock that it holds was taken the other way round before
 */
export function checkOrder(agent: Agent, address: number): void {
  const order = orderOf(agent, address);
  if (order === undefined || order.held.includes(address)) return;
  for (const from of new Set(order.held)) {
    const link = { from, to: address, token: agent.token };
    const back = order.record.add(link);
    if (back !== undefined) throw new LockOrderError(orderInWords(order.record, link, back), [link, ...back]);
  }
}

/** Notes that this thread has the lock at `address`. */
export function noteTaken(agent: Agent, address: number): void {
  orderOf(agent, address)?.held.push(address);
}

/** Notes that it has let go of it. */
export function noteReleased(agent: Agent, address: number): void {
  const held = orderOf(agent, address)?.held;
  const at = held?.lastIndexOf(address) ?? -1;
  if (at !== -1) held!.splice(at, 1);
}

function orderInWords({ registry, leftOut }: LockOrderRecord, link: OrderLink, back: readonly OrderLink[]): string {
  const now = `${threadOf(link.token)} takes ${lockAt(registry, link.to)} while it holds ${lockAt(registry, link.from)}`;
  const before = back.map(
    ({ from, to, token }) => `${threadOf(token)} took ${lockAt(registry, to)} while it held ${lockAt(registry, from)}`,
  );
  const rest = leftOut === 0 ? '' : ` (${leftOut} orders found no room and aren't known)`;
  return `${now}, but ${before.join(', and ')}${rest}`;
}

function lockAt(registry: AgentRegistry, address: number): string {
  const name = lockNames.get(registry)?.get(address);
  return name === undefined ? `the lock at byte ${address}` : `the lock '${name}'`;
}

function threadOf(token: number): string {
  const name = threadNames.get(token);
  const slot = token & OWNER_SLOT_MASK;
  const thread = slot === SLOT_UNREGISTERED ? 'a thread outside the registry' : `thread ${slot}.${token >>> OWNER_GENERATION_SHIFT}`;
  return name === undefined ? thread : `${thread} '${name}'`;
}
