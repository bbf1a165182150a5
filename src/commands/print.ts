/**
 * Writes to standard output; resolves when the system has taken all of it, so that an exit cannot cut a pipe short.
 * A reader that has seen enough and went away, such as `head`, is no error, nor is a terminal that was closed.
 */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => {
      if (error === undefined || error === null || isGone(error)) {
        resolve();
      } else {
        reject(error);
      }
    });
  });
}

function isGone(error: Error): boolean {
  return "code" in error && (error.code === "EPIPE" || error.code === "EIO");
}
