/**
 * Defines `Symbol.dispose` where the engine lacks it, so that `using`, lowered by a compiler, works there too. Called before
 * a class uses the symbol as a method's name.
 */
export function defineDisposeSymbol(): void {
  if (typeof Symbol.dispose !== 'symbol') {
    Object.defineProperty(Symbol, 'dispose', { value: Symbol.for('Symbol.dispose') });
  }
}
