// The live page: reads the control API, draws, and nothing else.  All text goes in as text, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 5000;
const RETRY_MS = 2000;
const COLUMNS = [
  ["Account"], ["From", "wide"], ["To"], ["Client", "wide"], ["State"], ["Began", "wide"], ["Time", "number"],
  ["Per minute", "number wide"], ["Charged", "number wide"], ["Reserved", "number wide"], ["Left", "number"],
  ["Refill in", "number wide"], ["Available", "number wide"], [""],
];
let token = sessionStorage.getItem("token") || "";
let roles = [];
let watching = null;
let accountTimer = 0;

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function amount(money) {
  return money ? money.amount.replace(/0{1,4}$/, "") + " " + money.currency : "unlimited";
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const h = Math.floor(seconds / 3600), m = Math.floor(seconds / 60) % 60, s = seconds % 60;
  return (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + String(s).padStart(2, "0");
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch(path, { ...options, headers: { ...headers, ...(options.headers || {}) } });
  if (answer.status === 401) { forget("The token is not valid."); throw new Error("not authenticated"); }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ detail: "HTTP " + answer.status }));
    throw new Error(problem.detail);
  }
  return answer;
}

function forget(why) {
  sessionStorage.removeItem("token");
  token = "";
  stopWatching();
  $("login-problem").textContent = why || "";
  show("login");
}

function show(id) {
  for (const name of ["login", "sessions", "account"]) $(name).hidden = name !== id;
  $("logout").hidden = id === "login";
}

function connected(text, isLost) {
  $("connection").textContent = text;
  $("connection").className = isLost ? "lost" : "";
}

function tile(value, label, isBad) {
  const made = element("div", null, isBad ? "tile bad" : "tile");
  made.append(element("b", value), element("span", label));
  return made;
}

function cells(row, values) {
  values.forEach(([value, kind]) => {
    const cell = element("td", null, kind);
    cell.append(value instanceof Node ? value : document.createTextNode(value));
    row.append(cell);
  });
  return row;
}

function accountLink(name) {
  const link = element("a", name);
  link.href = "#account/" + encodeURIComponent(name);
  return link;
}

function draw(picture) {
  const tiles = [tile(picture.active, "sessions")];
  for (const money of picture.currencies) {
    tiles.push(tile(amount(money.burn_per_minute), "burnt per minute"), tile(amount(money.reserved), "reserved"),
      tile(amount(money.exposure), "exposure", Number(money.exposure.amount) > 0));
  }
  const denials = Object.entries(picture.denials).sort((a, b) => b[1] - a[1]);
  const total = denials.reduce((sum, [, count]) => sum + count, 0);
  tiles.push(tile(total, denials.length ? "denied: " + denials[0][0].replaceAll("_", " ") : "denied in 5 min", total > 0));
  tiles.push(tile(duration(picture.oldest_silent_s), "longest silence"));
  if (picture.draining) tiles.push(tile("draining", "no new sessions", true));
  $("tiles").replaceChildren(...tiles);
  $("columns").replaceChildren(picture.groups.length
    ? cells(element("tr"), [["Destination"], ["Sessions", "number"], ["Reserved", "number"]])
    : cells(element("tr"), COLUMNS));
  const rows = picture.groups.length
    ? picture.groups.map((group) => cells(element("tr"), [
      [group.destination_name || "–"], [group.sessions, "number"], [amount(group.reserved), "number"]]))
    : picture.sessions.map(sessionRow);
  $("rows").replaceChildren(...rows);
  $("empty").hidden = rows.length > 0;
}

function sessionRow(session) {
  const row = element("tr", null, session.state);
  row.dataset.session = session.id;
  const actions = element("span");
  const offer = (label, work) => {
    const button = element("button", label);
    button.type = "button";
    button.addEventListener("click", work);
    actions.append(button);
  };
  if (roles.includes("operate") && session.state !== "killing") offer("End", () => confirmKill(session));
  if (session.service === "voice") offer("Explain", () => explainRunning(session));
  if (roles.includes("operate")) offer("Trace", () => trace(session));
  const to = session.destination + (session.destination_name ? " (" + session.destination_name + ")" : "");
  return cells(row, [
    [accountLink(session.account)], [session.caller || "–", "wide"], [to], [session.origin, "wide"], [session.state],
    [session.begun_at.slice(11, 19), "wide"], [duration(session.elapsed_s), "number"], [amount(session.rate_per_minute), "number wide"],
    [amount(session.charged), "number wide"], [amount(session.reserved), "number wide"], [duration(session.left_s), "number"],
    [duration(session.refresh_s), "number wide"], [amount(session.available), "number wide"], [actions],
  ]);
}

function say(text) {
  $("notice").textContent = text;
}

function tell(text) {
  $("told-text").textContent = text;
  if (!$("told").open) $("told").showModal();
}

async function explainRunning(session) {
  const query = new URLSearchParams({
    account: session.account, destination: session.destination, service: session.service,
    at: session.begun_at, units: Math.max(60, session.elapsed_s),
  });
  try {
    tell((await (await ask("/v1/rate/explain?" + query)).json()).text);
  } catch (error) {
    tell(error.message);
  }
}

async function trace(session) {
  const subscriber = session.subscriber || session.caller;
  const headers = { "X-Reason": "live page", "Content-Type": "application/json" };
  try {
    await ask("/v1/traces", { method: "POST", headers, body: JSON.stringify({ subscriber, duration: "10m" }) });
    tell("The packets of " + subscriber + " go into the server's log for ten minutes.");
  } catch (error) {
    tell(error.message);
  }
}

function confirmKill(session) {
  $("confirm-text").textContent = "End the session of " + session.account + " to " + session.destination + "?";
  $("confirm-yes").onclick = async () => {
    $("confirm").close();
    try {
      await ask("/v1/sessions/" + session.id + "/kill", { method: "POST", headers: { "X-Reason": "live page" } });
    } catch (error) {
      say(error.message);
    }
  };
  $("confirm-no").onclick = () => $("confirm").close();
  $("confirm").showModal();
}

function stopWatching() {
  if (watching) watching.abort();
  watching = null;
  clearInterval(accountTimer);
}

// EventSource cannot send a token, so the stream is read with fetch.
async function watch() {
  const mine = watching = new AbortController();
  while (watching === mine) {
    try {
      const answer = await ask("/v1/live/stream", { signal: mine.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let pending = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (pending + value).split("\n\n");
        pending = events.pop();
        events.forEach(take);
      }
    } catch (error) {
      if (watching !== mine) return;
      connected("connection lost", true);
      say(error.message);
    }
    await new Promise((wake) => setTimeout(wake, RETRY_MS));
  }
}

function take(event) {
  const lines = event.split("\n");
  const name = (lines.find((line) => line.startsWith("event: ")) || "").slice(7);
  const data = JSON.parse((lines.find((line) => line.startsWith("data: ")) || "data: {}").slice(6));
  if (name === "picture") {
    connected("live", false);
    say(data.truncated ? "More sessions than can be read at once." : "");
    draw(data);
  } else if (name === "problem") {
    connected("no answer", true);
    say(data.detail);
  }
}

function limits(found) {
  const told = Object.entries(found).filter(([, value]) => value !== null && value !== undefined).map(([name, value]) =>
    name.replaceAll("_", " ") + ": " + (value.amount ? amount(value) : Array.isArray(value) ? value.join(", ") : value));
  return told.length ? "Limits: " + told.join("; ") : "No limits beside the balance.";
}

async function showAccount(name) {
  const path = "/v1/accounts/" + encodeURIComponent(name);
  const [account, balance, entries, sessions] = await Promise.all([
    ask(path), ask(path + "/balance"), ask(path + "/entries?limit=50"), ask("/v1/sessions?account=" + encodeURIComponent(name)),
  ].map(async (answer) => (await answer).json()));
  $("account-name").textContent = name;
  const windows = balance.windows.map((window) => tile(
    amount(window.spent) + " of " + amount(window.limit), "spent this " + window.kind));
  const pool = account.pool ? "Spends the balance of " + account.pool + ". " : "";
  $("account-limits").textContent = pool + limits(account.limits);
  $("account-tiles").replaceChildren(
    tile(amount(balance.balance), "balance"), tile(amount(balance.reserved), "reserved"),
    tile(amount(balance.available), "available"), tile(balance.live_sessions, "sessions"),
    ...balance.buckets.map((bucket) => tile(bucket.available + " " + bucket.unit, bucket.name)), ...windows);
  $("account-sessions").replaceChildren(...sessions.items.map((session) => cells(element("tr"), [
    [session.destination], [session.state], [duration(session.elapsed_s), "number"], [session.granted + " granted", "number"],
    [amount(session.reserved), "number"]])));
  $("account-entries").replaceChildren(...entries.items.map(entryRow));
  chart(entries.items.map((entry) => Number(entry.balance_after.amount)).reverse());
  connected("live", false);
}

function entryRow(entry) {
  const why = element("span", entry.cause);
  if (["charge", "assumed", "correction"].includes(entry.cause)) {
    const button = element("button", entry.cause);
    button.type = "button";
    button.addEventListener("click", () => explain(entry.ref));
    why.replaceChildren(button, element("span", entry.ended ? " " + entry.ended : ""));
  }
  return cells(element("tr"), [
    [entry.at.replace("T", " ").slice(0, 19)], [why], [amount(entry.amount), "number"],
    [amount(entry.balance_after), "number"], [entry.ref, "wide"]]);
}

async function explain(number) {
  try {
    const told = await (await ask("/v1/cdrs/" + encodeURIComponent(number) + "/explain")).json();
    $("explanation").textContent = told.map((line) => line.text).join("\n\n");
  } catch (error) {
    $("explanation").textContent = error.message;
  }
  $("explanation").hidden = false;
}

function chart(values) {
  const svg = "http://www.w3.org/2000/svg";
  const low = Math.min(0, ...values), high = Math.max(...values, low + 0.000001);
  const y = (value) => 130 - (value - low) / (high - low) * 120;
  const points = values.length > 1 ? values : [...values, ...values];
  const line = document.createElementNS(svg, "polyline");
  line.setAttribute("points", points.map((value, n) => (n * 600 / Math.max(1, points.length - 1)) + "," + y(value)).join(" "));
  const zero = document.createElementNS(svg, "line");
  for (const [key, value] of [["x1", 0], ["x2", 600], ["y1", y(0)], ["y2", y(0)]]) zero.setAttribute(key, value);
  $("chart").replaceChildren(zero, line);
}

async function route() {
  stopWatching();
  try {
    roles = (await (await ask("/v1/whoami")).json()).roles;
  } catch (error) {
    if ($("login").hidden) { show("login"); $("login-problem").textContent = error.message; }
    return;
  }
  const name = location.hash.startsWith("#account/") ? decodeURIComponent(location.hash.slice(9)) : null;
  $("explanation").hidden = true;
  if (name === null) {
    show("sessions");
    watch();
    return;
  }
  show("account");
  const again = () => showAccount(name).catch((error) => connected(error.message, true));
  again();
  accountTimer = setInterval(again, REFRESH_MS);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  $("login-problem").textContent = "";
  sessionStorage.setItem("token", token);
  route();
});
$("logout").addEventListener("click", () => forget());
addEventListener("hashchange", route);
$("told-close").addEventListener("click", () => $("told").close());
if (token) route(); else show("login");
