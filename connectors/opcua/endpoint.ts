/** Where a server is, and who may be named in its address. */
export interface Endpoint {
  /** Without user and password. */
  readonly url: string;
  /** For the log. */
  readonly name: string;
  readonly user: { readonly name: string; readonly password: string } | undefined;
}

/** Reads `opc.tcp://user:password@host:port/path`; the scheme may be left out. */
export function endpointOf(text: string): Endpoint {
  const full = text.includes("opc.tcp") ? text : `opc.tcp://${text}`;
  const [, scheme = "opc.tcp://", authority = "", path = ""] =
    /^([a-z.]+:\/\/)([^/]*)(.*)$/i.exec(full) ?? [];
  const at = authority.lastIndexOf("@");
  const url = `${scheme}${authority.slice(at + 1)}${path}`;
  if (at === -1) {
    return { url, name: url, user: undefined };
  }
  const [name = "", ...rest] = authority.slice(0, at).split(":");
  return { url, name: url, user: { name: decoded(name), password: decoded(rest.join(":")) } };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // A percent sign that is meant as one.
  }
}
