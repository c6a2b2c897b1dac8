"use strict";
// Takes over only the cards that changed, so that the page neither jumps nor reloads the emails in it.
const list = document.getElementById("messages");
const count = document.getElementById("count");
const parse = (html) => new DOMParser().parseFromString(html, "text/html");
let shown = new Map([...list.children].map((card) => [card.id, card.outerHTML]));

function update(page) {
  const cards = [...page.getElementById("messages").children];
  const next = new Map(cards.map((card) => [card.id, card.outerHTML]));
  for (const old of [...list.children]) if (!next.has(old.id)) old.remove();
  cards.forEach((card, index) => {
    const there = document.getElementById(card.id);
    if (!there) list.insertBefore(card, list.children[index] || null);
    else if (shown.get(card.id) !== next.get(card.id)) there.replaceWith(card);
  });
  const said = page.getElementById("count").textContent;
  if (count.textContent !== said) count.textContent = said;
  shown = next;
}

async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (answer.ok) update(parse(await answer.text()));
  } catch {
    count.textContent = "The gateway does not answer.";
  }
  setTimeout(look, document.hidden ? 10000 : 2000);
}
setTimeout(look, 2000);
