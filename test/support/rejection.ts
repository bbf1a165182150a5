/**
 * What a promise rejects with. `expect(promise).rejects` blocks the event loop while it waits, so a promise that another
 * thread settles never does. @throws Error when it resolves
 */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
  throw new Error(`Resolved with ${JSON.stringify(value)} where a rejection was expected`);
}
