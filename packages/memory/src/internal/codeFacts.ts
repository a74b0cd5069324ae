/** What a module's functions do to its memory and to what an instance has for itself. */
import { PREFIX, UnknownInstruction, walkInstructions, type Instruction } from './instructions.ts';
import type { Reader } from './reader.ts';
import { RewriteError } from '../RewriteError.ts';

/** What a function does, itself or through those that it calls. */
export interface Effects {
  /** It writes memory, or grows it. */
  writesMemory: boolean;
  /** It sets globals or tables, or drops segments: every instance has its own. */
  writesInstance: boolean;
  /** It calls what is imported, or what a table or a reference names. */
  callsOut: boolean;
}

interface FunctionFacts extends Effects {
  readonly callees: Set<number>;
}

/** What is asked of a module's code. */
export class CodeFacts {
  /** Whether any function asks for the size of the memory. */
  usesMemorySize = false;
  readonly #functions: FunctionFacts[] = [];
  readonly #importedFunctions: number;
  readonly #stackPointer: number | undefined;

  /**
   * @param code the contents of the code section
   * @param stackPointer the global that every function puts back as it was
   * @throws RewriteError `UNKNOWN_CODE`, MemoryError `MALFORMED_MODULE`
   */
  constructor(code: Reader, importedFunctions: number, stackPointer: number | undefined) {
    this.#importedFunctions = importedFunctions;
    this.#stackPointer = stackPointer;
    for (let count = code.unsigned(); count > 0; count -= 1) {
      const size = code.unsigned();
      const { position } = code;
      code.skip(size);
      this.#functions.push(this.#factsOf(code.within(position, position + size)));
    }
  }

  /** What a function does, with all that it may call. */
  effectsOf(functionIndex: number): Effects {
    const effects = { writesMemory: false, writesInstance: false, callsOut: false };
    const seen = new Set<number>();
    const pending = [functionIndex];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (seen.has(index)) continue;
      seen.add(index);
      const facts = this.#functions[index - this.#importedFunctions];
      if (!facts) {
        effects.callsOut = true;
        continue;
      }
      effects.writesMemory ||= facts.writesMemory;
      effects.writesInstance ||= facts.writesInstance;
      effects.callsOut ||= facts.callsOut;
      pending.push(...facts.callees);
    }
    return effects;
  }

  #factsOf(body: Reader): FunctionFacts {
    const facts = { writesMemory: false, writesInstance: false, callsOut: false, callees: new Set<number>() };
    try {
      walkInstructions(body, (instruction) => {
        if (instruction.opcode === 0x3f) this.usesMemorySize = true;
        this.#judge(instruction, facts);
      });
    } catch (cause) {
      if (!(cause instanceof UnknownInstruction)) throw cause;
      throw new RewriteError('UNKNOWN_CODE', `the code has what the rewriter doesn't know: ${cause.message}`, { cause });
    }
    return facts;
  }

  #judge({ opcode, second, index }: Readonly<Instruction>, facts: FunctionFacts): void {
    // call, return_call
    if (opcode === 0x10 || opcode === 0x12) facts.callees.add(index);
    // call_indirect, return_call_indirect, call_ref, return_call_ref
    else if (opcode === 0x11 || opcode === 0x13 || opcode === 0x14 || opcode === 0x15) facts.callsOut = true;
    // global.set
    else if (opcode === 0x24) facts.writesInstance ||= index !== this.#stackPointer;
    // table.set
    else if (opcode === 0x26) facts.writesInstance = true;
    // i32.store to i64.store32, memory.grow
    else if ((opcode >= 0x36 && opcode <= 0x3e) || opcode === 0x40) facts.writesMemory = true;
    else if (opcode === PREFIX.miscellaneous) {
      // memory.init, memory.copy, memory.fill; then data.drop, table.init, elem.drop, table.copy, table.grow, table.fill.
      if (second === 8 || second === 10 || second === 11) facts.writesMemory = true;
      else if (second === 9 || (second >= 12 && second <= 15) || second === 17) facts.writesInstance = true;
    }
    // v128.store and its lanes
    else if (opcode === PREFIX.vector) facts.writesMemory ||= second === 11 || (second >= 88 && second <= 91);
    // All but the fence and the loads.
    else if (opcode === PREFIX.atomic) facts.writesMemory ||= second <= 2 || second >= 0x17;
  }
}
