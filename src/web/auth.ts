/** Whether only this machine can reach an address to listen on. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Whether a `Host` header means this machine itself, with any port or none. */
export function isAllowedHost(header: string): boolean {
  const name = header.toLowerCase().replace(/:\d{1,5}$/, "");
  return name === "[::1]" || (name !== "::1" && isLoopback(name));
}
