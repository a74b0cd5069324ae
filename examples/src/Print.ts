/** Where an example's program prints a line. */
export type Print = (line: string) => void;
