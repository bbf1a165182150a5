/** A piece of HTML that is safe as it is. */
export class Html {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** The tag below; the only way to make one. */
  static of(parts: TemplateStringsArray, values: readonly HtmlValue[]): Html {
    let text = parts[0] ?? "";
    for (const [index, value] of values.entries()) {
      text += render(value) + (parts[index + 1] ?? "");
    }
    return new Html(text);
  }
}

/** What a template takes: text of any origin, or HTML made by the tag. */
export type HtmlValue = string | number | Html | readonly Html[];

/** Template tag: every value that is not HTML made by this tag is escaped, for text and for attributes in double quotes. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.of(parts, values);
}

function render(value: HtmlValue): string {
  if (value instanceof Html) {
    return value.text;
  }
  if (typeof value === "string" || typeof value === "number") {
    return escape(String(value));
  }
  return value.map(({ text }) => text).join("");
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
