/** Connections to a database server, as far as its engine and its reader use them. */
import type { Durability } from "../../writer/Durability.ts"
import type { Fault } from "../../writer/Engine.ts"
import type { SqlValue, StatementResult } from "../../writer/Write.ts"

export interface Command {
  readonly sql: string
  /** Absent: a command of the library, which may be several statements. With parameters it is exactly one. */
  readonly params?: ReadonlyArray<SqlValue>
}

export type Outcome =
  | { readonly _tag: "Done"; readonly result: StatementResult }
  | { readonly _tag: "Failed"; readonly cause: unknown }

/** One connection. */
export interface Session {
  /**
   * Runs the commands in order. Ends with the first that fails: none after it has an effect that outlives a rollback.
   * Never rejects. All of them may be on their way before the first has answered.
   */
  readonly run: (commands: ReadonlyArray<Command>) => Promise<ReadonlyArray<Outcome>>
  readonly isAlive: () => boolean
  readonly close: () => Promise<void>
  /** What runs on it fails at once. */
  readonly destroy: () => void
}

/** The end of a connection, for promises that its driver may leave without an answer when it breaks. */
export const makeEnd = () => {
  let end: (cause: unknown) => void = () => undefined
  let isEnded = false
  const ended = new Promise<never>((_, reject) => {
    end = reject
  })
  ended.catch(() => undefined)
  return {
    isEnded: () => isEnded,
    end: (cause: unknown): void => {
      isEnded = true
      end(cause)
    },
    /** Rejects with what ended the connection, at the latest when it ends. */
    unlessEnded: <A>(answer: Promise<A>): Promise<A> => Promise.race([answer, ended])
  }
}

/** Whether a statement begins with one of `words`, after blanks and comments. */
export const makeSteering = (words: string): ((sql: string) => boolean) => {
  const comments = /^(?:[\s;]|--[^\n]*\n|#[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*/.source
  const steering = new RegExp(`${comments}(?:${words})\\b`, "i")
  return (sql) => steering.test(sql)
}

/** What differs between the servers. */
export interface Driver {
  /** Rejects with a cause for `faultOf`. */
  readonly connect: () => Promise<Session>
  /** Begins a transaction in which no statement runs, and none waits for a lock, for longer than the limit. */
  readonly begin: (durability: Durability, limitMillis: number) => ReadonlyArray<Command>
  readonly faultOf: (cause: unknown, phase: Fault["phase"]) => Fault
  /** The server has rolled the whole transaction back, not only the statement that failed. */
  readonly endsTransaction: (fault: Fault) => boolean
  /** Whether a statement would end the transaction it runs in, or change the connection for those after it. */
  readonly steers: (sql: string) => boolean
}

/** Connections that are open and not in use. How many there are is up to the caller, who takes one per permit. */
export interface SessionPool {
  readonly take: () => Promise<Session>
  readonly giveBack: (session: Session) => void
  /** Says goodbye to those that are idle, and cuts off the others. */
  readonly close: () => Promise<void>
}

export const makePool = ({ connect }: Pick<Driver, "connect">): SessionPool => {
  const idle: Array<Session> = []
  const taken = new Set<Session>()
  let isClosed = false
  return {
    take: async () => {
      let session = idle.pop()
      while (session !== undefined && !session.isAlive()) session = idle.pop()
      session ??= await connect()
      taken.add(session)
      // Closed while it was being opened.
      if (isClosed) session.destroy()
      return session
    },
    giveBack: (session) => {
      taken.delete(session)
      if (isClosed) session.destroy()
      else if (session.isAlive()) idle.push(session)
    },
    close: async () => {
      isClosed = true
      for (const session of taken) session.destroy()
      await Promise.allSettled(idle.splice(0).map((session) => session.close()))
    }
  }
}
