import { describe, expect, test } from "bun:test";
import { html } from "../../../src/web/html.ts";

describe("html", () => {
  test("escapes every value that it has not made itself", () => {
    const name = `<script>alert("1" & '2')</script>`;
    const rows = [html`<td>${name}</td>`, html`<td>${5}</td>`];
    expect(html`<tr title="${name}">${rows}</tr>`.text).toBe(
      '<tr title="&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;">' +
        "<td>&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;</td><td>5</td></tr>",
    );
  });
});
