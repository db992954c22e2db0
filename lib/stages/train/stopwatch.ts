/** Seconds of a step and of its phases. */
export class Stopwatch {
  private readonly started = performance.now()
  private readonly phases = new Map<string, number>()

  /** Adds the time that `work` takes to a phase. */
  async time<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now()
    try {
      return await work()
    } finally {
      this.phases.set(phase, this.seconds(phase) + (performance.now() - start) / 1000)
    }
  }

  /** Of one phase; of all since the beginning if none is named. */
  seconds(phase?: string): number {
    if (phase === undefined) return (performance.now() - this.started) / 1000
    return this.phases.get(phase) ?? 0
  }
}
