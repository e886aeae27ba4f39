// Sends the letters of fleet.py with nodemailer's pool, one connection for each mailbox; prints the seconds.
import { createRequire } from "node:module";

const [folder, port, mailboxes, count] = process.argv.slice(2);
const nodemailer = createRequire(`${folder}/`)("nodemailer");
const pool = nodemailer.createTransport({
  pool: true,
  host: "127.0.0.1",
  port: Number(port),
  secure: false,
  ignoreTLS: true,
  maxConnections: Number(mailboxes),
  maxMessages: Infinity,
});
const escaped = (value) => value.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function letter(n) {
  const sender = `sender${n % mailboxes}@example.org`;
  const token = n.toString(16).padStart(32, "0");
  const [name, company, city] = [`Pia${n}`, `Firm ${n % 997} & Sons`, "Zürich"];
  const out = `mailto:${sender}?subject=unsubscribe%20${token}`;
  return {
    from: { name: "Anna Example", address: sender },
    to: `person${n}@firm${n % 997}.example.com`,
    subject: `A question about ${company}`,
    messageId: `<${token}@example.org>`,
    headers: { "List-Unsubscribe": { prepared: true, value: `<${out}>` } },
    text: `Hello ${name},

I saw what ${company} does in ${city}, and have one question about it.

- Who looks after the mail that you send?
- Would a second pair of eyes help?

You can read what we do (https://example.org/about) first, if you like. We keep it short, because we would rather hear from you than write about ourselves.

Kind regards

To stop these messages, unsubscribe by mail: ${out}
`,
    html: `<!DOCTYPE html>
<html>
<head><meta charset="utf-8"></head>
<body>
<p>Hello ${escaped(name)},</p>
<p>I saw what <strong>${escaped(company)}</strong> does in ${escaped(city)}, and have one question about it.</p>
<ul>
<li>Who looks after the mail that you send?</li>
<li>Would a second pair of eyes help?</li>
</ul>
<p>You can read <a href="https://example.org/about">what we do</a> first, if you like. We keep it short, because we would rather hear from you than write about ourselves.</p>
<p>Kind regards</p>
<p>To stop these messages, <a href="${out}">unsubscribe</a>.</p>
</body>
</html>
`,
  };
}

const began = performance.now();
await Promise.all(Array.from({ length: Number(count) }, (_, n) => pool.sendMail(letter(n))));
const seconds = (performance.now() - began) / 1000;
pool.close();
console.log(seconds);
