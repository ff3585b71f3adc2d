// A roster before it is sent: only its first 64 KiB are read, to see what it is.
const SAMPLE = 64 * 1024;
const MOST = 1024 * 1024 * 1024;
const AS_CSV = "In the spreadsheet choose 'Save as', 'CSV UTF-8', and choose that file here.";
export const KINDS = { csv: "text/csv", ndjson: "application/x-ndjson" };

// {kind, sample, whole, note} of a File; throws an Error whose message is for people.
export async function lookAt(file) {
  if (!file.size) throw new Error(`${file.name} is empty. Its first row must name the columns.`);
  if (file.size > MOST) throw new Error(`${file.name} is larger than 1 GiB. Split it, and send one part after another.`);
  const head = new Uint8Array(await file.slice(0, SAMPLE).arrayBuffer());
  const wrong = notText(head);
  if (wrong) throw new Error(`${file.name} ${wrong}`);
  const whole = file.size <= SAMPLE;
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(head, { stream: !whole });
  const begins = text.replace(/^\uFEFF/, "").trimStart();
  if (!begins) throw new Error(`${file.name} is blank. Its first row must name the columns.`);
  if (begins[0] === "[") throw new Error(`${file.name} is one JSON list. Write one object a line, without the brackets around them (NDJSON).`);
  const kind = begins[0] === "{" || /\.(ndjson|jsonl)$/i.test(file.name) ? KINDS.ndjson : KINDS.csv;
  const note = text.includes("\uFFFD") ? `Some letters are not UTF-8; rows that hold such are left out. ${AS_CSV}` : "";
  return { kind, whole, note, sample: whole ? text : wholeRows(text, kind) };
}

// Why these bytes are no text that can be read; "" where they are.
function notText(head) {
  const begins = (...bytes) => bytes.every((byte, at) => head[at] === byte);
  if (begins(0x50, 0x4b, 3, 4) || begins(0xd0, 0xcf, 0x11, 0xe0)) return `is a workbook, not a CSV. ${AS_CSV}`;
  if (begins(0x25, 0x50, 0x44, 0x46)) return `is a PDF, not a CSV. ${AS_CSV}`;
  if (begins(0x1f, 0x8b)) return "is compressed. Unpack it first.";
  if (begins(0xff, 0xfe) || begins(0xfe, 0xff)) return `is UTF-16, not UTF-8. ${AS_CSV}`;
  if (head.includes(0)) return `is UTF-16 or no text at all. ${AS_CSV}`;
  return "";
}

// Without a last row that is only begun: up to a line end outside quotes, as far as can be seen.
function wholeRows(text, kind) {
  let end = text.lastIndexOf("\n");
  while (kind === KINDS.csv && end > 0 && text.slice(0, end).split('"').length % 2 === 0) end = text.lastIndexOf("\n", end - 1);
  return end > 0 ? text.slice(0, end + 1) : text;
}

// 12400000 -> "12.4 MB"
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const [n, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${n >= 100 ? Math.round(n) : n.toFixed(1)} ${unit}`;
}
