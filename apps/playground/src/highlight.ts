/** Colours SQL: enough to tell keywords, names, numbers, strings and comments apart. */
import { element } from './dom.ts';

const KEYWORDS = new Set(
  `select from where group by order having limit offset as and or not in is null like glob between exists case when then else end
  join left right full inner outer cross on using union all except intersect distinct with recursive insert into values update set
  delete create table view index trigger virtual drop alter add column primary key unique check default references foreign if
  begin commit rollback savepoint release asc desc over partition rows range window filter returning replace explain query plan
  pragma vacuum analyze cast collate`.split(/\s+/),
);

const TOKEN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?)|("(?:[^"]|"")*"?)|(\b\d[\w.]*)|([A-Za-z_]\w*)(\s*\()?|([\s\S])/g;

/** SQL as coloured nodes; the token at `errorOffset` is marked. Joined, the nodes' text is the input. */
export function highlight(sql: string, errorOffset?: number): Node[] {
  const nodes: Node[] = [];
  for (const match of sql.matchAll(TOKEN)) {
    const [text, comment, string, quoted, number, word, call] = match;
    const token = word ?? text;
    const start = match.index;
    let kind: string | undefined;
    if (comment !== undefined) kind = 'comment';
    else if (string !== undefined) kind = 'string';
    else if (quoted !== undefined) kind = 'name';
    else if (number !== undefined) kind = 'number';
    else if (word !== undefined && KEYWORDS.has(word.toLowerCase())) kind = 'keyword';
    else if (call !== undefined) kind = 'function';
    const wrong = errorOffset !== undefined && errorOffset >= start && errorOffset < start + token.length;
    if (kind === undefined && !wrong) nodes.push(document.createTextNode(token));
    else nodes.push(element('span', { class: `${kind ?? ''}${wrong ? ' wrong' : ''}`.trim() }, token));
    if (call !== undefined) nodes.push(document.createTextNode(call));
  }
  return nodes;
}
