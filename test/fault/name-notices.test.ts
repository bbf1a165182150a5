// A kill at the moment in which the platform believes that the gateway has taken a notice about a name.
import { expect, test } from "bun:test";
import { DeviceScene, TIMEOUT_MS } from "../support/device-scene.ts";

const ROUNDS = process.env["TBGW_FAULT"] === "full" ? 100 : 3;

/** Kills the gateway as soon as the platform has a PUBACK of the notice that `tell` causes, or an answer to it. */
async function killOnceTaken({ gateway, platform }: DeviceScene, tell: () => void): Promise<void> {
  const answers = (): number => platform.counters().staleReplies;
  const before = answers();
  tell();
  await platform.until(
    () => platform.pendingRpc("gateway").length === 0 || answers() > before,
    TIMEOUT_MS,
  );
  await gateway.stop("SIGKILL");
}

test(
  `a new name survives a kill right after its PUBACK or answer, ${ROUNDS} times, and so does a deletion`,
  async () => {
    await using scene = await DeviceScene.open();
    const { platform } = scene;
    await scene.start();
    let seq = 1;
    await scene.measure("dev-1", seq);
    await scene.arrived("dev-1", seq);
    let name = "dev-1";
    for (let round = 1; round <= ROUNDS; round += 1) {
      const next = `Pump ${round}`;
      // The list of devices has just been written, and would rest for a second.
      await scene.measure(`other-${round}`, 1);
      await scene.arrived(`other-${round}`, 1);
      await killOnceTaken(scene, () => platform.renameDevice(name, next));
      name = next;
      seq += 1;
      await scene.measure("dev-1", seq);
      await scene.start();
      await scene.arrived(name, seq);
      expect(platform.devices().filter((one) => !one.startsWith("other-"))).toEqual([
        "gateway",
        name,
      ]);
    }
    await killOnceTaken(scene, () => platform.deleteDevice(name));
    await scene.start();
    await scene.measure("dev-1", seq + 1);
    await scene.arrived("dev-1", seq + 1);
    expect(platform.devices()).not.toContain(name);
  },
  TIMEOUT_MS * (ROUNDS > 10 ? 20 : 1),
);
