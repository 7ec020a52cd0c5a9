// What markdownlint finds in a page, and links to headings that are not there.
//   node markdown.mjs PAGE     (node_modules beside it, or NODE_MODULES=...)
import fs from 'fs';
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const require = createRequire(`${process.env.NODE_PATH}/`);
const { lint } = await import(pathToFileURL(require.resolve('markdownlint/sync')).href);
const page = fs.readFileSync(process.argv[2], 'utf8');
const errors = lint({ strings: { page }, config: { default: true, MD013: false } }).page.map(
  (e) => `line ${e.lineNumber}: ${e.ruleNames[0]} ${e.ruleDescription} ${e.errorDetail ?? ''}`);
const anchors = new Set([...page.matchAll(/^#+ (.*)$/gm)].map((m) => m[1].replace(/\\/g, '').toLowerCase().replace(/[^\w\- ]/g, '').replace(/ /g, '-')));
const links = [...page.matchAll(/\]\(#([^)]*)\)/g)].map((m) => m[1]);

for (const link of links) if (!anchors.has(link)) errors.push(`no heading for #${link}`);
errors.forEach((e) => console.error(e));
console.log(`${links.length} links, ${errors.length} errors`);
process.exitCode = errors.length === 0 && links.length > 0 ? 0 : 1;
