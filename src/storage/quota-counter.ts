/** Name of the counter that holds the quota in bytes, for those who look into the file. */
export const QUOTA_COUNTER = "quota/bytes";
