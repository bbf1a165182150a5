import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { coerce } from "#sdk/datatypes";
import { encodeJson } from "#sdk/encode";
import { DataError } from "#sdk/errors";
import { compileExpression, type ExpressionOptions, template } from "#sdk/expression";
import { readJson } from "#sdk/json-reader";
import type { Json, Values } from "#sdk/model";
import { splitTags } from "#sdk/tag";

const MESSAGE =
  '{"serialNumber":"SN-001","sensorType":"Thermometer","temp":22.5,"hum":58,"ok":true,"none":null,"zero":0,"s":"12.7",' +
  '"nested":{"a":{"b":7}},"arr":[10,20,30],"list":[{"id":"a","v":1},{"id":"b","v":2}],"device name":"Pump 1",' +
  '"k.v":"dotted","k":{"v":2},"room":{"air temp":19.5},"x":{"1":5,"b-c":6,"e:f":8},"big":9007199254740993,"@id":4}';

/** What a mapping entry sends: JSON text, or why it sends nothing. */
function convert(expression: string, type: string, message = MESSAGE): string {
  const { text, missing, value } = compileExpression(expression).evaluate(readJson(message));
  if (missing.length > 0) {
    return "missing";
  }
  try {
    return encodeJson(coerce(value ?? text, type));
  } catch (error) {
    if (error instanceof DataError) {
      return error.reason;
    }
    throw error;
  }
}

describe("compileExpression() with coerce()", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["${temp}", "double", "22.5"],
    ["${temp}", "integer", "22"],
    ["${temp}", "string", '"22.5"'],
    ["${hum}", "double", "58.0"],
    ["${s}", "double", "12.7"],
    ["${s}", "integer", "12"],
    ["${ok}", "boolean", "true"],
    ["${ok}", "string", '"true"'],
    ["${ok}", "integer", "1"],
    ["${zero}", "boolean", "false"],
    ["${none}", "string", "missing"],
    ["${missing}", "double", "missing"],
    ["on", "string", '"on"'],
    ["5", "integer", "5"],
    ["temp", "string", '"temp"'],
    ["${hum}:${temp}", "string", '"58:22.5"'],
    ["Dev ${serialNumber} (${hum})", "string", '"Dev SN-001 (58)"'],
    ["${hum}:${missing}", "string", "missing"],
    ["${hum}%", "integer", "bad-value"],
    ['{"t":${temp}}', "string", '"{\\"t\\":22.5}"'],
    ["${nested.a.b}", "integer", "7"],
    ["${$.nested.a.b}", "integer", "7"],
    ["${nested.a.zz}", "integer", "missing"],
    ["${nested}", "string", '"{\\"a\\":{\\"b\\":7}}"'],
    ["${arr}", "string", '"[10,20,30]"'],
    ["${arr[0]}", "integer", "10"],
    ["${arr[-1]}", "integer", "30"],
    ["${arr[9]}", "integer", "missing"],
    ["${arr[1:]}", "integer", "20"],
    ["${arr[*]}", "integer", "10"],
    ["${list[1].v}", "integer", "2"],
    ["${list[*].id}", "string", '"a"'],
    ["${$..v}", "integer", "1"],
    ["${nested.*.b}", "integer", "7"],
    ["${device name}", "string", '"Pump 1"'],
    ["${room.air temp}", "double", "19.5"],
    ['${nested["a"].b}', "integer", "7"],
    ["${nested['a'].b}", "integer", "7"],
    ["${k.v}", "string", '"dotted"'],
    ["${$.k.v}", "string", '"2"'],
    ["${x.b-c}", "integer", "6"],
    ["${x.1}", "integer", "5"],
    ['${x."1"}', "integer", "5"],
    ['${x."e:f"}', "integer", "8"],
    ["${ hum }", "integer", "58"],
    ["${big}", "integer", "9007199254740993"],
    ["${temp|hum}", "double", "22.5"],
    ["${@id}", "integer", "4"],
    ["${temp} + ${hum}", "double", "bad-value"],
    ["${serialNumber[0]}", "string", '"S"'],
    ["$temp", "string", '"$temp"'],
  ];
  test.each(cases)("%s as %s gives %s", (expression, type, result) => {
    expect(convert(expression, type)).toBe(result);
  });

  test("an exact key goes before its first word", () => {
    const message = '{"device name":"Pump 1","device":"X"}';
    expect(convert("${device name}", "string", message)).toBe('"Pump 1"');
    expect(convert("${device name}", "string", '{"device":"X"}')).toBe('"X"');
  });

  test("${} and ${$} are the whole body, whatever it is", () => {
    for (const tag of ["${}", "${$}", "${ }"]) {
      expect(convert(tag, "double", "22.5")).toBe("22.5");
      expect(convert(tag, "string", '"on"')).toBe('"on"');
      expect(convert(tag, "boolean", "true")).toBe("true");
      expect(convert(tag, "string", '{"a":1}')).toBe('"{\\"a\\":1}"');
      expect(convert(tag, "json", '{"a":1}')).toBe('{"a":1}');
    }
    expect(convert("${x}", "string", "22.5")).toBe("missing");
    expect(convert("${x}", "string", '"text"')).toBe("missing");
    expect(convert("${[1]}", "integer", "[1,2]")).toBe("2");
  });

  test("a number becomes text in its own spelling", () => {
    expect(convert("${a}", "string", '{"a":21.0}')).toBe('"21.0"');
    expect(convert("${a}", "string", '{"a":1.10}')).toBe('"1.10"');
    expect(convert("v=${a}", "string", '{"a":0.12345678901234567}')).toBe(
      '"v=0.12345678901234567"',
    );
    expect(convert("${a}", "string", '{"a":123456789012345678}')).toBe('"123456789012345678"');
    expect(convert("${a}", "double", '{"a":1.10}')).toBe("1.1");
  });

  test("Unicode and any other character work in a tag, a brace inside double quotes", () => {
    const message = '{"température":1,"a/b?":2,"c":{"d}e":3,"f,g":4}}';
    expect(convert("${température}", "integer", message)).toBe("1");
    expect(convert("${a/b?}", "integer", message)).toBe("2");
    expect(convert('${c."d}e"}', "integer", message)).toBe("3");
    expect(convert('x${c["d}e"]}y${c."f,g"}', "string", message)).toBe('"x3y4"');
  });
});

describe("compileExpression()", () => {
  const body: Json = { sensorType: "Thermometer", a: 1, n: null, t: 'x"y', o: { p: [1] } };

  test("keys: tags inside a text", () => {
    expect(compileExpression("m_${sensorType}_x").evaluate(body).text).toBe("m_Thermometer_x");
    expect(compileExpression("m_${missing}").evaluate(body)).toEqual({
      text: "m_${missing}",
      missing: ["missing"],
      value: undefined,
    });
  });

  test("exposes the raw value of a single tag only", () => {
    const { value } = compileExpression("${o}").evaluate(body);
    expect(value).toEqual({ p: [1] });
    expect(compileExpression(" ${o}").evaluate(body).value).toBeUndefined();
    expect(compileExpression("${o}${a}").evaluate(body).value).toBeUndefined();
    expect(compileExpression("${n}", { nulls: "text" }).evaluate(body).value).toBeNull();
  });

  test("knows constants, tags and broken paths", () => {
    expect(compileExpression("plain").isConstant).toBe(true);
    expect(compileExpression("").evaluate(body)).toEqual({
      text: "",
      missing: [],
      value: undefined,
    });
    expect(compileExpression("${a}").isConstant).toBe(false);
    expect(compileExpression("${a}-${b.c}").tags).toEqual(["a", "b.c"]);
    const broken = compileExpression("${a[}");
    expect(broken.problems).toHaveLength(1);
    expect(broken.problems[0]).toContain('"a["');
    expect(broken.evaluate({ "a[": 1 }).text).toBe("1");
    expect(broken.evaluate(body).missing).toEqual(["a["]);
  });

  test("an unclosed tag is literal", () => {
    expect(compileExpression("a ${b").evaluate(body).text).toBe("a ${b");
    expect(compileExpression("a ${b").isConstant).toBe(true);
    expect(compileExpression("}${a}}").evaluate(body).text).toBe("}1}");
  });

  test("a modifier chooses the encoding of its tag, unless a member has that name", () => {
    const text = (expression: string, options?: ExpressionOptions): string =>
      compileExpression(expression, options).evaluate(body).text;
    expect(text("${t}")).toBe('x"y');
    expect(text("${t:json}")).toBe('"x\\"y"');
    expect(text("${t}", { encoding: "json" })).toBe('"x\\"y"');
    expect(text("${t:raw}", { encoding: "json" })).toBe('x"y');
    expect(text("[${o.p[0]:json}]")).toBe("[1]");
    expect(compileExpression("${t:raw}").evaluate({ "t:raw": 1, t: 2 }).text).toBe("1");
    expect(compileExpression('${x."e:json"}').evaluate({ x: { "e:json": 1 } }).text).toBe("1");
  });

  test("a bare text is looked up where the place asks for it", () => {
    const compiled = compileExpression("serialNumber", { bare: true });
    expect(compiled.evaluate({ serialNumber: "SN-001" })).toMatchObject({
      text: "SN-001",
      missing: [],
    });
    expect(compiled.evaluate({})).toMatchObject({ text: "serialNumber", missing: [] });
    expect(compiled.isConstant).toBe(false);
    expect(compileExpression("Dev ${a}", { bare: true }).evaluate(body).text).toBe("Dev 1");
  });

  test("every tag works in a device name, with the text around it", () => {
    const message: Json = { serialNumber: "SN-001", hum: 58, nested: { b: 7 } };
    const name = (expression: string) => compileExpression(expression).evaluate(message);
    expect(name("${serialNumber}").text).toBe("SN-001");
    expect(name("Dev ${serialNumber}").text).toBe("Dev SN-001");
    expect(name("Dev ${nested.b}").text).toBe("Dev 7");
    expect(name("${serialNumber}-${hum}").text).toBe("SN-001-58");
    expect(name("${missing}").missing).toEqual(["missing"]);
  });

  test("names() lists what the tags name", () => {
    const message: Json = { a: "fw", b: "model", n: null, list: ["x", "y", null], e: "" };
    const names = (expression: string) => compileExpression(expression).names(message);
    expect(names("${a}, ${b}")).toEqual(["fw", "model"]);
    expect(names("${a}${zz}${n}${e}")).toEqual(["fw"]);
    expect(names("${list}")).toEqual(["x", "y"]);
    expect(names("firmware")).toEqual(["firmware"]);
    expect(compileExpression("a", { bare: true }).names(message)).toEqual(["fw"]);
    expect(compileExpression("zz", { bare: true }).names(message)).toEqual(["zz"]);
  });

  test("splitTags() keeps every character", () => {
    const piece = fc.constantFrom("${", "}", '"', "a", ".", "$", "{", " ", "é");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const text = pieces.join("");
        const joined = splitTags(text).map((part) =>
          typeof part === "string" ? part : `\${${part.tag}}`,
        );
        expect(joined.join("")).toBe(text);
        expect(compileExpression(text).evaluate({}).text).toSatisfy(
          (result: string) => result === text || text.includes("${"),
        );
      }),
    );
  });

  test("a value is put in once: its own tags and replacement patterns stay text", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const text = `${value}$&\${b}`;
        expect(compileExpression("<${a}>").evaluate({ a: text, b: 1 }).text).toBe(`<${text}>`);
      }),
    );
  });
});

describe("template()", () => {
  const rpc: Values = {
    deviceName: "SN-001",
    methodName: "setRelay",
    requestId: 7,
    id: 7,
    method: "setRelay",
    params: { pin: 3, on: true, name: "a b", o: { x: 1 } },
  };
  const payload: ExpressionOptions = { encoding: "json", plain: ["deviceName"] };

  const payloads: readonly (readonly [string, string])[] = [
    ["${params}", '{"pin":3,"on":true,"name":"a b","o":{"x":1}}'],
    ["${params.pin}", "3"],
    ["${params.name}", '"a b"'],
    ["${params.o.x}", "1"],
    ["${params.name} ${params.on}", '"a b" true'],
    ['{"p":${params.pin},"d":"${deviceName}"}', '{"p":3,"d":"SN-001"}'],
    ["${method}", '"setRelay"'],
    ["${id}", "7"],
    ["${requestId}", "7"],
    ["90", "90"],
    ["${params.name:raw}", "a b"],
  ];
  test.each(payloads)("RPC payload %s gives %s", (expression, text) => {
    expect(template(expression, payload)(rpc)).toMatchObject({ text, missing: [] });
  });

  const topics: readonly (readonly [string, string])[] = [
    ["a/${params.pin}/b", "a/3/b"],
    ["a/x-${params.pin}/b", "a/x-3/b"],
    ["a/${id}/${method}", "a/7/setRelay"],
    ["a/${params.pin}-${params.on}/b", "a/3-true/b"],
    ["sensor/${deviceName}/request/${methodName}/${requestId}", "sensor/SN-001/request/setRelay/7"],
  ];
  test.each(topics)("RPC topic %s gives %s", (expression, text) => {
    expect(template(expression)(rpc)).toMatchObject({ text, missing: [] });
  });

  test("a missing tag is reported and stays", () => {
    expect(template("a/${params.zz}/b")(rpc)).toMatchObject({
      text: "a/${params.zz}/b",
      missing: ["params.zz"],
    });
    expect(template("${params.zz}", payload)(rpc).missing).toEqual(["params.zz"]);
  });

  test.each([
    ["on", '"on"'],
    [5, "5"],
    [true, "true"],
    [null, "null"],
  ] as const)("scalar params %p give %s", (params, text) => {
    expect(template("${params}", payload)({ params })).toMatchObject({ text, missing: [] });
  });

  test("attribute update: text without quotes, objects as JSON", () => {
    const update = template('{"${attributeKey}":"${attributeValue}"}');
    const values = (attributeValue: Json): Values => ({
      deviceName: "SN-002",
      attributeKey: "firmwareVersion",
      attributeValue,
    });
    expect(update(values(6.6)).text).toBe('{"firmwareVersion":"6.6"}');
    expect(template("sensor/${deviceName}/${attributeKey}")(values(6.6)).text).toBe(
      "sensor/SN-002/firmwareVersion",
    );
    const value = template("${attributeValue}");
    expect(value(values({ a: [1] })).text).toBe('{"a":[1]}');
    expect(value(values(false)).text).toBe("false");
    expect(value(values(null)).text).toBe("null");
    expect(value(values('it\'s "x"')).text).toBe('it\'s "x"');
    expect(template("${attributeValue:json}")(values('"x"')).text).toBe('"\\"x\\""');
  });

  test("attribute request: the key plain, the value as JSON", () => {
    const options: ExpressionOptions = { encoding: "json", plain: ["attributeKey", "deviceName"] };
    const reply = template('{"${attributeKey}": ${attributeValue}}', options);
    expect(reply({ attributeKey: "firmwareVersion2", attributeValue: 7.1 }).text).toBe(
      '{"firmwareVersion2": 7.1}',
    );
    expect(
      template(
        "${attributeKey}: ${attributeValue}",
        options,
      )({
        attributeKey: "firmwareVersion",
        attributeValue: "1.2.3",
      }).text,
    ).toBe('firmwareVersion: "1.2.3"');
  });
});
