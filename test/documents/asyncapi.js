// Parses an AsyncAPI document with the official parser: no finding may be an error, and every message must have the schema that
// is pinned.
//   NODE_PATH=.../node_modules node asyncapi.js DOCUMENT PINNED     PINNED: {"<event type>": <schema>, ...}
const fs = require('fs');
const { isDeepStrictEqual } = require('util');
const { Parser } = require('@asyncapi/parser');
const { AvroSchemaParser } = require('@asyncapi/avro-schema-parser');

const ERROR = 0;

async function main() {
  const text = fs.readFileSync(process.argv[2], 'utf8');
  const pinned = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'));
  const parser = new Parser();
  parser.registerSchemaParser(AvroSchemaParser());
  const { document, diagnostics } = await parser.parse(text);
  const errors = diagnostics.filter((d) => d.severity === ERROR).map((d) => `${d.path.join('/')}: ${d.message}`);
  const messages = JSON.parse(text).components.messages;

  for (const [name, schema] of Object.entries(pinned)) {
    if (messages[name] === undefined) errors.push(`${name}: there is no such message`);
    else if (!isDeepStrictEqual(messages[name].payload.schema, schema)) errors.push(`${name}: its schema is another one`);
  }
  for (const name of Object.keys(messages)) if (pinned[name] === undefined) errors.push(`${name}: nothing is pinned for it`);
  if (document === undefined) errors.push('there is no document');
  else if (document.allMessages().length !== Object.keys(pinned).length) errors.push(`${document.allMessages().length} messages were read`);
  errors.forEach((e) => console.error(e));
  console.log(`${Object.keys(pinned).length} messages, ${errors.length} errors`);
  process.exitCode = errors.length === 0 ? 0 : 1;
}

main();
