/**
 * A group of writes as one transaction on a connection to a server.
 *
 * Round trips decide how long it holds its locks: the begin and all statements
 * of all writes go out together, and the commit follows once their answers have
 * been looked at. A write that fails is taken back by its savepoint, which costs
 * one more round trip, and the writes after it run again.
 */
import type { Durability } from "../../writer/Durability.ts"
import type { Fault, WriteAnswer } from "../../writer/Engine.ts"
import type { Statement, StatementResult } from "../../writer/Write.ts"
import { Refusal } from "./refusal.ts"
import type { Command, Driver, Outcome, Session } from "./serverSession.ts"

type Statements = ReadonlyArray<Statement>
type Group = ReadonlyArray<Statements>

/** How far a call has come, to say what became of it when the connection is lost. */
export interface Progress {
  isCommitSent: boolean
}

/** A connection that is lost before the commit was sent has written nothing: the server rolls back. */
export const asFarAsItCame = (fault: Fault, { isCommitSent }: Progress): Fault =>
  fault.reason === "Lost" ? { ...fault, phase: isCommitSent ? "commit" : "queued" } : fault

interface Terms {
  readonly durability: Durability
  readonly limitMillis: number
}

interface Step {
  readonly write: number
  /** Absent: the savepoint of the write. */
  readonly statement?: number
  readonly command: Command
}

const misuse: Fault = {
  reason: "Rejected",
  code: "MISUSE",
  detail: "a write must not steer the transaction or the connection",
  phase: "statement"
}

const savepoint = (write: number): string => `one_write_${write}`

const stepsFrom = (group: Group, first: number): ReadonlyArray<Step> =>
  group.flatMap((statements, write) => {
    if (write < first) return []
    const steps = statements.map(({ params, sql }, statement): Step => ({ write, statement, command: { sql, params } }))
    return group.length === 1 ? steps : [{ write, command: { sql: `SAVEPOINT ${savepoint(write)}` } }, ...steps]
  })

const isBelow = (changes: Statement["changes"], changed: number): boolean =>
  changes === "some" ? changed === 0 : changes !== "any" && changes !== changed

const conflictOf = ({ changes, sql }: Statement, statement: number, changed: number): Fault | undefined =>
  changes === "any" || !isBelow(changes, changed)
    ? undefined
    : {
        reason: "Conflict",
        code: "CONFLICT",
        detail: sql,
        phase: "statement",
        conflict: { statement, expected: changes, changed }
      }

/** Why this step fails its write, if it does. */
const faultOfStep = (
  driver: Driver,
  group: Group,
  { statement, write }: Step,
  outcome: Outcome | undefined
): Fault | undefined => {
  if (outcome === undefined) throw new RangeError("a command of a transaction has no answer")
  if (outcome._tag === "Failed") return driver.faultOf(outcome.cause, "statement")
  const asked = statement === undefined ? undefined : group[write]?.[statement]
  return asked === undefined ? undefined : conflictOf(asked, statement ?? 0, outcome.result.changes)
}

/** Faults that the write brings upon itself, or that its rows do. The connection is as good as before. */
const isWritesOwn = (driver: Driver, fault: Fault): boolean =>
  !driver.endsTransaction(fault) &&
  (fault.reason === "Rejected" || fault.reason === "Conflict" || fault.reason === "Busy" || fault.reason === "Unknown")

const demandDone = (driver: Driver, outcomes: ReadonlyArray<Outcome>, phase: Fault["phase"]): void => {
  for (const outcome of outcomes) {
    if (outcome._tag === "Failed") throw new Refusal(driver.faultOf(outcome.cause, phase))
  }
}

interface Round {
  readonly answers: ReadonlyArray<WriteAnswer>
  /** The write that failed. `undefined`: none did. */
  readonly broken?: number
}

/** Looks at the answers of a round, up to the first write that failed. */
const lookAt = (
  driver: Driver,
  group: Group,
  first: number,
  steps: ReadonlyArray<Step>,
  outcomes: ReadonlyArray<Outcome>
): Round => {
  const results: Array<Array<StatementResult>> = group.slice(first).map(() => [])
  const done = (count: number) => results.slice(0, count).map((results): WriteAnswer => ({ _tag: "Done", results }))
  for (const [index, step] of steps.entries()) {
    const outcome = outcomes[index]
    const fault = faultOfStep(driver, group, step, outcome)
    if (fault !== undefined) {
      if (!isWritesOwn(driver, fault)) throw new Refusal(fault)
      return { answers: [...done(step.write - first), { _tag: "Failed", fault }], broken: step.write }
    }
    if (step.statement !== undefined && outcome?._tag === "Done") results[step.write - first]?.push(outcome.result)
  }
  return { answers: done(results.length) }
}

/**
 * The part of the limit after which no further write of a group is tried: one that waited for a lock that long has used
 * up the time of those behind it, and they would wait for it too.
 */
const triedShare = 0.6

/** Sends every write, and those after a failed one again. Leaves the transaction open. */
const runWrites = async (
  driver: Driver,
  session: Session,
  group: Group,
  begin: ReadonlyArray<Command>,
  limitMillis: number
): Promise<ReadonlyArray<WriteAnswer>> => {
  const answers: Array<WriteAnswer> = []
  const triedUntil = performance.now() + triedShare * limitMillis
  let before = begin
  let phase: Fault["phase"] = "begin"
  do {
    const first = answers.length
    const steps = stepsFrom(group, first)
    // oxlint-disable-next-line no-await-in-loop
    const outcomes = await session.run([...before, ...steps.map(({ command }) => command)])
    demandDone(driver, outcomes.slice(0, before.length), phase)
    const round = lookAt(driver, group, first, steps, outcomes.slice(before.length))
    answers.push(...round.answers)
    if (round.broken === undefined) return answers
    before = [{ sql: group.length === 1 ? "ROLLBACK" : `ROLLBACK TO SAVEPOINT ${savepoint(round.broken)}` }]
    phase = "statement"
    const broken = answers.at(-1)
    if (broken?._tag === "Failed" && broken.fault.reason === "Busy" && performance.now() > triedUntil) {
      answers.push(...group.slice(answers.length).map(() => broken))
    }
  } while (answers.length < group.length)
  // oxlint-disable-next-line no-await-in-loop
  demandDone(driver, await session.run(before), phase)
  return answers
}

const isDone = ({ _tag }: WriteAnswer): boolean => _tag === "Done"

const commit = async (driver: Driver, session: Session, progress: Progress): Promise<Fault | undefined> => {
  progress.isCommitSent = true
  const [outcome] = await session.run([{ sql: "COMMIT" }])
  if (outcome?._tag === "Failed") {
    const fault = driver.faultOf(outcome.cause, "commit")
    // Whatever it answers but a loss, the server has decided, and against it.
    if (fault.reason !== "Lost") progress.isCommitSent = false
    return fault
  }
  progress.isCommitSent = false
  return undefined
}

const runTransaction = async (
  driver: Driver,
  session: Session,
  group: Group,
  terms: Terms,
  progress: Progress
): Promise<ReadonlyArray<WriteAnswer>> => {
  const begin = driver.begin(terms.durability, terms.limitMillis)
  const answers = await runWrites(driver, session, group, begin, terms.limitMillis)
  if (!answers.some(isDone)) {
    if (group.length > 1) demandDone(driver, await session.run([{ sql: "ROLLBACK" }]), "statement")
    return answers
  }
  const fault = await commit(driver, session, progress)
  if (fault === undefined) return answers
  if (fault.reason !== "Rejected") throw new Refusal(fault)
  if (group.length === 1) return [{ _tag: "Failed", fault }]
  // A constraint that is only checked at the commit. Alone, each write gets the answer that is its own.
  return runApart(driver, session, group, terms)
}

/** A transaction for each write. One that fails for all does so for itself: those before it are committed. */
const runApart = async (
  driver: Driver,
  session: Session,
  group: Group,
  terms: Terms
): Promise<ReadonlyArray<WriteAnswer>> => {
  const answers: Array<WriteAnswer> = []
  for (const statements of group) {
    const progress: Progress = { isCommitSent: false }
    try {
      // oxlint-disable-next-line no-await-in-loop
      answers.push(...(await runTransaction(driver, session, [statements], terms, progress)))
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal
      answers.push({ _tag: "Failed", fault: asFarAsItCame(refusal.fault, progress) })
      // oxlint-disable-next-line no-await-in-loop
      await session.run([{ sql: "ROLLBACK" }])
    }
  }
  return answers
}

/** Answers each write of the group. Throws a `Refusal` when it is one for all. */
export const runGroup = async (
  driver: Driver,
  session: Session,
  group: Group,
  terms: Terms,
  progress: Progress
): Promise<ReadonlyArray<WriteAnswer>> => {
  const harmless = group.filter((statements) => !statements.some(({ sql }) => driver.steers(sql)))
  const answers = harmless.length === 0 ? [] : await runTransaction(driver, session, harmless, terms, progress)
  const next = answers.values()
  return group.map((statements) =>
    statements.some(({ sql }) => driver.steers(sql))
      ? { _tag: "Failed", fault: misuse }
      : (next.next().value ?? { _tag: "Failed", fault: misuse })
  )
}
