/** Name of the counter that says which block is the oldest held: what is older was deleted and is not to come back in a repair. */
export const OLDEST_COUNTER = "held/oldest";
