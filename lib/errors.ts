/**
 * The errors that rlt throws on purpose. Each message names what was wrong, where, what was expected and what to do.
 * The command line exits with 2 for {@link UsageError} and {@link ConfigurationError}, with 1 for everything else.
 */
export class RltError extends Error {
  /** Stable, machine-readable: `ERR_…`. */
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** The command line was used wrongly. */
export class UsageError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_USAGE', message, options)
  }
}

/** A configuration that cannot be run. */
export class ConfigurationError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CONFIGURATION', message, options)
  }
}

/** Data that cannot be read: a file, a line, a field. */
export class DataError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DATA', message, options)
  }
}

/** Files of a model that are missing, damaged or not supported. */
export class ModelError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MODEL', message, options)
  }
}

/**
 * From the engine. `code` says what kind: `ERR_ARGUMENT`, `ERR_SHAPE`, `ERR_MODEL_FILE`, `ERR_OUT_OF_MEMORY`,
 * `ERR_NUMERICS`, `ERR_DISPOSED`, `ERR_ENGINE` (LibTorch's own).
 */
export class EngineError extends RltError {}

/** A server that samples cannot be reached, refuses or fails. */
export class ServerError extends RltError {
  constructor(
    message: string,
    /** Whether it is a matter of this one request: another one may be answered. */
    readonly ofRequest: boolean,
    options?: ErrorOptions,
  ) {
    super('ERR_SERVER', message, options)
  }
}

/** A call was aborted by its signal. `name` is `AbortError`, as the platform's own. */
export class AbortedError extends RltError {
  constructor(message = 'The call was aborted.', options?: ErrorOptions) {
    super('ERR_ABORTED', message, options)
    this.name = 'AbortError'
  }
}
