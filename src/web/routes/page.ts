import {
  connectorWords,
  devicesWords,
  deviceWords,
  ledgerWords,
  summaryWords,
} from "../../service/status-words.ts";
import { Html, html } from "../html.ts";
import type { Page } from "../reply.ts";
import type { WebSources } from "../sources.ts";

const STATUS_MS = 2000;
/** Devices on the page; those in trouble first. */
const MAX_DEVICES = 100;
/** The browser looks again after so many seconds. */
const REFRESH_SECONDS = 5;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); overflow-wrap: anywhere; }
th { font-weight: 600; width: 12rem; }
td.n { text-align: right; font-variant-numeric: tabular-nums; width: 9rem; }
.good { color: light-dark(#11632f, #6fd58f); } .bad { color: light-dark(#a1260d, #ff9b85); }
footer { margin-top: 2rem; opacity: .7; }
`;

/** `/`: the status as a page that renews itself. No script, nothing from elsewhere, everything escaped. */
export async function pageRoute(sources: WebSources): Promise<Page> {
  const body = sources.stage() === "running" ? await statusBody(sources) : startingBody();
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>tbgw</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<h1>ThingsBoard gateway</h1>
${body}
<footer>Renewed every ${REFRESH_SECONDS} s. For programs: /metrics, /healthz, /readyz.</footer>
</body>
</html>
`;
  return { html: page.text, style: STYLE };
}

function startingBody(): Html {
  return html`<p>The gateway is starting or stopping: the event store is not open at this moment.</p>`;
}

async function statusBody(sources: WebSources): Promise<Html> {
  const status = await sources.status(STATUS_MS);
  const { devices, omitted } = sources.devices(MAX_DEVICES);
  const report = { ...status, deviceList: devices, devicesOmitted: omitted };
  const isGood = status.link.state === "connected" && status.delivery === "answering";
  const rows = summaryWords(report, sources.now()).map(([subject, text]) => {
    const mark = subject === "Uplink" ? (isGood ? "good" : "bad") : "";
    return html`<tr><th>${subject}</th><td class="${mark}">${text}</td></tr>\n`;
  });
  const ledger = ledgerWords(report).map(
    ([name, count, remark]) =>
      html`<tr><th>${name}</th><td class="n">${count}</td><td>${remark}</td></tr>\n`,
  );
  const connectors = status.connectors.map(
    (one) => html`<tr><th>${one.name}</th><td>${connectorWords(one)}</td></tr>\n`,
  );
  const list = devices.map(
    (one) =>
      html`<tr><th>${one.name}</th><td>${one.connector ?? ""}</td><td>${deviceWords(one)}</td></tr>\n`,
  );
  const more = omitted > 0 ? html`<p>and ${omitted} more: tbgw status --devices</p>` : html``;
  return html`<table>${rows}</table>
<h2>Ledger: every value since the store exists</h2>
<table>${ledger}</table>
<h2>Connectors</h2>
<table>${connectors}</table>
<h2>Devices: ${devicesWords(report)}</h2>
<table>${list}</table>
${more}`;
}

/** Our own text, from this file. */
function trusted(text: string): Html {
  return Html.of(Object.assign([text], { raw: [text] }), []);
}
