/** Something the installation needs and does not find: what is missing, and what to type. */
export class InstallError extends Error {
  /**
   * @param {string} code stable name of the problem, e.g. 'NO_COMPILER'
   * @param {string} message what is missing or wrong, and where
   * @param {string[]} remedies commands or steps, the most likely first
   */
  constructor(code, message, remedies = []) {
    super(message)
    this.name = 'InstallError'
    this.code = code
    this.remedies = remedies
  }

  /** The whole text for a terminal. */
  describe() {
    const steps = this.remedies.map(remedy => `    ${remedy}`)
    return [this.message, ...(steps.length > 0 ? ['What to do:', ...steps] : [])].join('\n')
  }
}
