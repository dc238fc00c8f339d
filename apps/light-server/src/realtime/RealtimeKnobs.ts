/** The settings of the socket server. */
import * as Knob from "../ConfigKnob.ts"

export const knobs = {
  handshakesPerSecond: Knob.integer("HAPPIER_SOCKET_HANDSHAKES_PER_SECOND", {
    fallback: 500,
    min: 1,
    max: 1_000_000,
    meaning: "Sockets opened per second in the long run. A client above the limit is told to come back later."
  }),
  socketLimit: Knob.integer("HAPPIER_SOCKET_LIMIT", {
    fallback: 10_000,
    min: 1,
    max: 1_000_000,
    meaning: "Sockets open at once. A client above the limit is told to come back later."
  }),
  eventsPerSecond: Knob.integer("HAPPIER_SOCKET_EVENTS_PER_SECOND", {
    fallback: 100,
    min: 1,
    max: 1_000_000,
    meaning:
      "Events of one socket per second in the long run. More are refused. An account may send twenty times as many."
  }),
  eventBurst: Knob.integer("HAPPIER_SOCKET_EVENT_BURST", {
    fallback: 500,
    min: 1,
    max: 1_000_000,
    meaning:
      "Events of one socket at once, after silence. The same number of refused events closes the socket. " +
      "An account may send forty times as many."
  })
}
