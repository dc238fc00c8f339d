/** The package brings no types. */
declare module "asciichart" {
  export interface PlotConfig {
    readonly min?: number
    readonly max?: number
    readonly height?: number
    readonly colors?: ReadonlyArray<string | undefined>
    readonly format?: (value: number) => string
  }
  export const plot: (
    series: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>,
    config?: PlotConfig
  ) => string
  export const red: string
  export const green: string
  export const yellow: string
  export const blue: string
  export const magenta: string
  export const cyan: string
  export const lightgray: string
  export const darkgray: string
  export const lightred: string
  export const lightgreen: string
}
