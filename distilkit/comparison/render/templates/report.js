"use strict";
const byId = (id) => document.getElementById(id);
const valueOf = (cell) => {
  const text = cell.dataset.value ?? cell.textContent;
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
};
const before = (one, other) =>
  typeof one === "number" && typeof other === "number" ? one - other : typeof one === typeof other ? one.localeCompare(other) : typeof one === "number" ? -1 : 1;

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  [...heads].forEach((head, place) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") !== "descending" && place > 0 || head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((one, other) => before(valueOf(one.cells[place]), valueOf(other.cells[place])));
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

byId("filter")?.addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  for (const part of document.querySelectorAll("#comparisons details")) {
    const title = part.querySelector("summary").textContent.toLowerCase();
    let some = false;
    for (const row of part.querySelector("tbody").rows) {
      const text = title + " " + row.cells[0].textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      some ||= !row.hidden;
    }
    part.hidden = !some;
    if (event.target.value) part.open = some;
  }
});

const element = (tag, text, className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
const sets = JSON.parse(byId("data").textContent);
const fill = (select, names, chosen) => {
  select.replaceChildren(...names.map((name, place) => new Option(name, place, place === chosen, place === chosen)));
};
const shown = (value) => (value > 0 ? "+" : "") + value.toFixed(4);

function rankingOf(data, query, place) {
  const box = element("div", "");
  box.append(element("h3", data.short[place]));
  const ranking = query.rankings?.[place];
  if (!ranking) {
    box.append(element("p", "Not kept in this report.", "note"));
    return box;
  }
  const table = element("table", "");
  const head = table.createTHead().insertRow();
  for (const name of ["", "grade", "passage", "score"]) head.append(element("th", name));
  const body = table.createTBody();
  ranking.forEach(([document_, score], rank) => {
    const grade = query.grades[document_];
    const row = body.insertRow();
    row.append(element("td", rank + 1, "number"));
    row.insertCell().append(element("span", grade ?? "?", grade > 0 ? "grade relevant" : "grade"));
    const cell = row.insertCell();
    cell.append(element("b", data.documents[document_]));
    if (data.texts[document_]) {
      const passage = element("div", data.texts[document_], "text");
      passage.addEventListener("click", () => passage.classList.toggle("open"));
      cell.append(passage);
    }
    row.append(element("td", score, "number"));
  });
  const scroll = element("div", "", "scroll");
  scroll.append(table);
  box.append(scroll);
  if (!ranking.length) box.append(element("p", "No results.", "note"));
  return box;
}

function list() {
  const data = sets[byId("set").value];
  const [left, right, measure] = ["left", "right", "measure"].map((id) => Number(byId(id).value));
  const rows = data.queries.map((query) => {
    const values = query.values[measure];
    return { query, mine: values[left], theirs: values[right], difference: values[left] - values[right] };
  });
  rows.sort((one, other) => Math.abs(other.difference) - Math.abs(one.difference));
  const choose = (row, { query, mine, theirs }) => {
    for (const other of byId("list").tBodies[0].rows) other.className = other === row ? "chosen" : "";
    const head = element("p", `${query.text ? `“${query.text}” ` : ""}(query ${query.id}): ${mine.toFixed(4)} against ${theirs.toFixed(4)}`, "asked");
    byId("rankings").replaceChildren(head, rankingOf(data, query, left), rankingOf(data, query, right));
  };
  const made = rows.map((one) => {
    const row = document.createElement("tr");
    row.tabIndex = 0;
    row.append(element("th", one.query.text ?? one.query.id));
    for (const [value, text] of [[one.mine, one.mine.toFixed(4)], [one.theirs, one.theirs.toFixed(4)], [one.difference, shown(one.difference)]]) {
      const cell = element("td", text, "number");
      cell.dataset.value = value;
      row.append(cell);
    }
    row.addEventListener("click", () => choose(row, one));
    row.addEventListener("keydown", (event) => event.key === "Enter" && choose(row, one));
    return row;
  });
  byId("list").tBodies[0].replaceChildren(...made);
  const ranked = data.queries.filter((query) => query.rankings).length;
  byId("shown").textContent =
    (data.queries.length < data.total ? `The ${data.queries.length} queries of ${data.total} on which systems differ most. ` : "") +
    `First 20 results, with rankings of ${ranked} queries; grade ?: not judged. Choose a query to see both rankings; click a passage to read all of it that is kept.`;
  if (made.length) choose(made[0], rows[0]);
}

function choices() {
  const data = sets[byId("set").value];
  fill(byId("left"), data.short, data.baseline === 0 ? Math.min(1, data.short.length - 1) : 0);
  fill(byId("right"), data.short, data.baseline);
  fill(byId("measure"), data.measures, 0);
  list();
}

for (const line of document.querySelectorAll(".forest [data-place]")) {
  const show = () => {
    byId("left").value = line.dataset.place;
    list();
    byId("queries").scrollIntoView({ behavior: "smooth" });
  };
  line.addEventListener("click", show);
  line.addEventListener("keydown", (event) => event.key === "Enter" && show());
}

if (sets.length) {
  fill(byId("set"), sets.map((data) => data.set ?? "all queries"), 0);
  byId("set").addEventListener("change", choices);
  for (const id of ["left", "right", "measure"]) byId(id).addEventListener("change", list);
  choices();
} else {
  byId("queries").hidden = true;
}

addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
