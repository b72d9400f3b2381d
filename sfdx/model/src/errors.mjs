// The kinds of failure that the model tells apart.

/** An Apex exception on its way to a catch clause; `object` is the exception object. */
export class ApexError extends Error {
  constructor(object, at) {
    super(`${object.cls.full}: ${object.message ?? ""}${at ? ` (${at})` : ""}`);
    this.object = object;
    this.at = at;
  }
}

/**
 * A governor limit. No catch clause of Apex sees it
 * (Apex Developer Guide, "Execution Governors and Limits": a LimitException can't be handled).
 */
export class LimitError extends Error {}

/** What the compiler of the platform would refuse. */
export class CompileError extends Error {}

/**
 * Something that the model does not know. It is never passed over: what is not
 * modelled is not run.
 */
export class NotModelled extends Error {
  constructor(what, where) {
    super(`not modelled: ${what}${where ? ` (${where})` : ""}`);
    this.located = Boolean(where);
  }

  /** Adds where in the package's code it was met. */
  locate(where) {
    if (!this.located) this.message += ` (${where})`;
    this.located = true;
  }
}
