/**
 * Waits between attempts: full jitter, so that clients which were cut off together do not come back together
 * (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */

export interface BackoffOptions {
  /** The bound of the first wait, in ms. */
  readonly first?: number;
  /** The bound of every wait, in ms. */
  readonly most?: number;
  /** Random in [0, 1). */
  readonly random?: () => number;
}

export class Backoff {
  private attempts = 0;
  private readonly first: number;
  private readonly most: number;
  private readonly random: () => number;

  constructor({ first = 500, most = 30_000, random = Math.random }: BackoffOptions = {}) {
    [this.first, this.most, this.random] = [first, most, random];
  }

  /** The next wait, in ms: between nothing and a bound that doubles, but no less than what the server asked for. */
  next(asked: number | null = null): number {
    const bound = Math.min(this.most, this.first * 2 ** Math.min(this.attempts, 30));
    this.attempts += 1;
    return Math.max(asked ?? 0, this.random() * bound);
  }

  /** It works again. */
  reset(): void {
    this.attempts = 0;
  }
}
