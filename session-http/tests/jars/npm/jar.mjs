// Answers questions about a cookie jar, one line of JSON for each line of JSON.
import { createInterface } from "node:readline";
import { Cookie, CookieJar } from "tough-cookie";

let jar = new CookieJar();

// The jar asks this clock.
const now = Date.now;

function answer({ clear, receive, url, sent, site, script, after }) {
  if (clear) {
    jar = new CookieJar();
    return null;
  }
  if (receive) {
    return receive.filter((line) => jar.setCookieSync(line, url, { sameSiteContext: "strict" }) === undefined);
  }
  if (sent) {
    // The jar removes what has expired, so a copy is asked.
    const later = jar.cloneSync();
    Date.now = () => now() + after;
    const cookies = later.getCookiesSync(sent, { sameSiteContext: site, http: !script });
    Date.now = now;
    return cookies.map((cookie) => cookie.cookieString());
  }
  const cookies = jar.serializeSync().cookies.map((cookie) => Cookie.fromJSON(cookie));
  const left = (cookie) => (cookie.TTL() === Infinity ? null : cookie.TTL());
  return Object.fromEntries(cookies.map((cookie) => [cookie.key, left(cookie)]));
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(answer(JSON.parse(line))));
}
