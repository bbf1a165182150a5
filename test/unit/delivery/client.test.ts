import { expect, test } from "bun:test";
import { DeliveryClient } from "../../../src/delivery/client.ts";
import { systemClock } from "../../../src/sdk/clock.ts";
import { until } from "../../support/until.ts";
import { settings } from "../storage/batches.ts";

const DEVICE = { deviceType: "pump", connected: true };

/** A client over threads that only tell what they hear; the first one is open. */
async function setUp(onBroken: () => void = () => undefined) {
  const threads: Worker[] = [];
  const heard: string[] = [];
  let ended = 0;
  const client = await DeliveryClient.open(
    { dataDir: "", storage: settings(), session: undefined, logLevel: "info" },
    {
      clock: systemClock,
      sink: ({ message, fields }) => {
        heard.push(String(fields["heard"]));
        if (message.includes("is started again")) {
          onBroken();
        }
      },
      startThread: () => {
        const thread = new Worker(new URL("../../support/delivery-echo.ts", import.meta.url).href);
        thread.addEventListener("close", () => {
          ended += 1;
        });
        threads.push(thread);
        if (threads.length === 1) {
          thread.postMessage({ type: "go" });
        }
        return thread;
      },
    },
  );
  return { client, threads, heard, running: () => threads.length - ended };
}

test("stop() leaves no thread behind, also while one is being replaced", async () => {
  let stopped: Promise<void> | undefined;
  const { client, threads, running } = await setUp(() => {
    stopped = client.stop(0);
  });
  threads[0]?.postMessage({ type: "break" });
  await until("the client was stopped", () => stopped !== undefined);
  await stopped;
  await until("every thread has ended", () => running() === 0, 5000);
});

test("a device that goes while the thread is being replaced is gone for the next one", async () => {
  const { client, threads, heard } = await setUp();
  client.device({ ...DEVICE, deviceName: "Stays", platformName: "Stays" });
  client.device({ ...DEVICE, deviceName: "Goes", platformName: "Goes" });
  threads[0]?.terminate();
  await until("the next thread was told of both", () =>
    heard.some((text) => text.includes('"open"') && text.includes("Goes")),
  );
  client.device({ ...DEVICE, deviceName: "Goes", platformName: "Goes", connected: false });
  heard.length = 0;
  threads[1]?.postMessage({ type: "go" });
  await until("told of those that stay", () => heard.some((text) => text.includes("Stays")));
  await client.stop(0);
  expect(heard.filter((text) => text.includes("Goes"))).toEqual([
    expect.stringContaining('"connected":false'),
  ]);
});
