import { callRpc, expectEqual, test } from "tbgw/testing";
import method from "./rpc.ts";

test("the answer has the name that was given", async () => {
  const answer = await callRpc(method, { name: "plant" });
  const text = typeof answer === "object" && answer !== null && "text" in answer ? answer.text : "";
  expectEqual(text, "Hello plant");
});
