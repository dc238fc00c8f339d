/** Sizes, times and ages as people read them. */

const megabyte = 1e6

export const bytes = (count: number | null): string => {
  if (count === null) return "unknown"
  return count >= 1000 * megabyte ? `${(count / 1e9).toFixed(1)} GB` : `${(count / megabyte).toFixed(1)} MB`
}

/** How long something takes or is ago, in its two largest units. */
export const duration = (millis: number): string => {
  const seconds = Math.max(0, Math.round(millis / 1000))
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)]
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`
}

/** `never` for a time that is not known. */
export const ago = (atMillis: number | null, nowMillis: number): string =>
  atMillis === null ? "never" : `${duration(nowMillis - atMillis)} ago`

/** ISO time without milliseconds, in UTC. */
export const time = (atMillis: number): string => `${new Date(atMillis).toISOString().slice(0, 19)}Z`

export const count = (number: number, singular: string, plural = `${singular}s`): string =>
  `${number} ${number === 1 ? singular : plural}`
