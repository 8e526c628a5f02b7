const style = `
  :root { color-scheme: light dark; font: 18px/1.4 system-ui, sans-serif; }
  body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
  h1 { font-size: 1.6rem; } ul { list-style: none; padding: 0; }
  .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem; }
  button { font: inherit; padding: .9rem 1rem; border-radius: .6rem; border: 1px solid #8886; cursor: pointer; }
  button.main { background: #6b3e1f; color: #fff; width: 100%; } button:disabled { opacity: .5; cursor: default; }
  .card { border: 1px solid #8886; border-radius: .6rem; padding: .8rem; } .muted { opacity: .7; } [role=status] { min-height: 1.6rem; }
`;

function page(title: string, body: string, script: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>${style}</style></head><body>${body}<script type="module">${script}</script></body></html>`;
}

// Pages build text nodes and never markup from data, so that nothing an order says becomes code.
const tools = `
const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more });
const money = (cents, currency) => (cents / 100).toLocaleString("en-US", { style: "currency", currency });
`;

/** The customer's screen: pick, pay, see the number. An order that got no answer is sent again with the same id. */
export const kioskPage: string = page(
  "Kiosk",
  `<h1>What may we make for you?</h1><div class="grid" id="menu"></div><ul id="cart" aria-label="Your order"></ul>
<p><button class="main" id="pay" disabled>Pay</button></p><p role="status" id="status"></p>`,
  `${tools}
const { items, currency } = await (await fetch("/api/menu")).json();
const cart = new Map();
let id = crypto.randomUUID?.() ?? "";
const newId = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) =>
  (Number(c) ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (Number(c) / 4)))).toString(16));
id ||= newId();
const say = (text) => { document.querySelector("#status").textContent = text; };
const draw = () => {
  const lines = [...cart].map(([sku, quantity]) => {
    const item = items.find((one) => one.sku === sku);
    return make("li", quantity + " × " + item.name + "  " + money(item.priceCents * quantity, currency));
  });
  document.querySelector("#cart").replaceChildren(...lines);
  document.querySelector("#pay").disabled = cart.size === 0;
};
document.querySelector("#menu").replaceChildren(...items.map((item) => {
  const button = make("button", item.name + " " + money(item.priceCents, currency), { type: "button" });
  button.dataset.sku = item.sku;
  button.onclick = () => { id = newId(); cart.set(item.sku, (cart.get(item.sku) ?? 0) + 1); say(""); draw(); };
  return button;
}));
const send = async (tries) => {
  const body = { id, items: [...cart].map(([sku, quantity]) => ({ sku, quantity })), payment: { method: "card", token: "tok_visa" } };
  try {
    const reply = await fetch("/api/orders", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (reply.status < 500) return reply;
  } catch {}
  if (tries === 0) return undefined;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return send(tries - 1);
};
document.querySelector("#pay").onclick = async () => {
  document.querySelector("#pay").disabled = true;
  say("One moment…");
  const reply = await send(10);
  const answer = reply === undefined ? undefined : await reply.json();
  if (reply?.ok) { say("Thank you! Your number is " + answer.sequence + "."); cart.clear(); id = newId(); }
  else say(answer?.error ?? "The order could not be sent. Please ask at the counter.");
  draw();
};`,
);

/** The barista's queue: one button moves an order on. */
export const baristaPage: string = page(
  "Barista",
  `<h1>Orders</h1><div class="grid" id="queue" aria-live="polite"></div><p class="muted" role="status" id="status"></p>`,
  `${tools}
const next = { queued: "making", making: "ready", ready: "collected" };
const label = { queued: "Start", making: "Ready", ready: "Handed over" };
const move = async (id, state) => {
  await fetch("/api/orders/" + id + "/state", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ state }) });
  await draw();
};
const draw = async () => {
  try {
    const { orders } = await (await fetch("/api/queue")).json();
    document.querySelector("#queue").replaceChildren(...orders.map((order) => {
      const card = make("div", "", { className: "card" });
      card.dataset.order = order.id;
      const button = make("button", label[order.state], { type: "button", onclick: () => move(order.id, next[order.state]) });
      card.append(make("strong", "#" + order.sequence + " " + order.state), ...order.items.map((line) => make("div", line.quantity + " × " + line.sku)), button);
      return card;
    }));
    document.querySelector("#status").textContent = orders.length === 0 ? "Nothing to make." : "";
  } catch { document.querySelector("#status").textContent = "The store does not answer; trying again."; }
};
for (;;) { await draw(); await new Promise((resolve) => setTimeout(resolve, 1000)); }`,
);
