/**
 * The options of Node that a thread is started with, when they are not those of the process. A program that Node was
 * given as text, with `--eval` or on standard input, may say `--input-type`, and no file can be started with that.
 */
export const threadArgs = (execArgv: ReadonlyArray<string>): { readonly execArgv?: Array<string> } =>
  execArgv.some((arg) => arg.startsWith("--input-type")) ? { execArgv: [] } : {}
