/**
 * Answers that memory may already have. A promise costs as much as a small call itself: where the answer is there it is a value, and
 * what is thrown is thrown at once.
 */
export type Soon<T> = T | Promise<T>;

/** What `next` makes of the value: at once when that is there. */
export function after<T, R>(value: Soon<T>, next: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
