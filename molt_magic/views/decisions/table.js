// The table of decisions. The kernel filters, sorts and cuts pages; this draws the page it sends.
// Untrusted text goes through textContent only; the one innerHTML is the story, which the kernel has escaped.

const CHOICES = [["strategy", "Strategy"], ["model", "Model"], ["cache", "Cache"], ["status", "Status"]];
const PAGE_SIZES = [10, 20, 50, 100];
const TYPING_MS = 250; // a pause in typing that means: now look
const PATIENCE_MS = 1500; // without an answer for so long, say so
const GIVE_UP_MS = 15000;

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

const number = (n) => n.toLocaleString("en-US");

// JupyterLab keeps Enter from inputs inside a cell: no form is submitted, no change is told
const onEnter = (action) => (event) => {
  if (event.key === "Enter") action();
};

function debounced(action) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, TYPING_MS);
  };
}

function render({ model, el }) {
  el.classList.add("molt-decisions");
  // else JupyterLab takes the arrows and single letters for its own; it looks at the focused element first, then around it
  el.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));

  // -- asking the kernel

  const count = h("span", { role: "status" });
  let patience = [];
  const waiting = (on) => {
    patience.forEach(clearTimeout);
    table.setAttribute("aria-busy", String(on));
    patience = !on ? [] : [
      setTimeout(() => { count.textContent = "Waiting for the kernel …"; }, PATIENCE_MS),
      setTimeout(() => { count.textContent = "The kernel does not answer. Run the cell again if it was restarted."; }, GIVE_UP_MS),
    ];
  };
  const ask = (change) => {
    const query = model.get("query");
    model.set("query", { ...query, page: 0, ...change, n: (query.n || 0) + 1 });
    waiting(true);
    model.save_changes();
  };
  const act = (message) => {
    said.textContent = "Asked the kernel …";
    model.send(message);
  };

  // -- filters

  const inputs = {};
  const filter = (name, label, attributes) => {
    const node = inputs[name] = h("input", { "aria-label": label, ...attributes, oninput: debounced(() => ask({ [name]: node.value })) });
    return h("label", {}, label, node);
  };
  const choice = ([name, label]) => {
    const node = inputs[name] = h("select", { "aria-label": label, onchange: () => ask({ [name]: node.value }) });
    return h("label", {}, label, node);
  };
  const clear = h("button", { type: "button", onclick: () => {
    const empty = Object.fromEntries(Object.keys(inputs).map((name) => [name, ""]));
    Object.values(inputs).forEach((node) => { node.value = ""; });
    ask(empty);
  } }, "Clear filters");
  const amount = { type: "number", min: "0", step: "any", placeholder: "USD" };
  const filters = h("div", { class: "molt-bar", role: "search", "aria-label": "Filter the decisions" },
    filter("search", "Search", { type: "search", placeholder: "words, in any column", size: 20 }),
    ...CHOICES.map(choice),
    h("span", { class: "molt-range" },
      filter("cost_from", "Cost from", amount), filter("cost_to", "to", { ...amount, "aria-label": "Cost to" })),
    h("span", { class: "molt-range" },
      filter("time_from", "Time, UTC, from", { type: "datetime-local" }),
      filter("time_to", "to", { type: "datetime-local", "aria-label": "Time, UTC, to" })),
    clear);

  const drawChoices = (choices) => {
    for (const [name] of CHOICES) {
      const chosen = model.get("query")[name] || "";
      const options = (choices[name] || []).map(([text, n]) => [text, `${text} (${number(n)})`]);
      if (chosen && !options.some(([text]) => text === chosen)) options.push([chosen, chosen]);
      inputs[name].replaceChildren(...[["", "any"], ...options].map(([value, text]) => {
        const option = h("option", { value });
        option.textContent = text;
        return option;
      }));
      inputs[name].value = chosen;
      inputs[name].disabled = !model.get("view").ready;
    }
  };

  // -- the table

  const head = h("tr");
  const body = h("tbody");
  const table = h("table", { "aria-busy": "false" },
    h("caption", {}, "Decisions"), h("thead", {}, head), body);
  const arrows = { ascending: " \u25b2", descending: " \u25bc" };

  const drawHead = (columns) => {
    if (head.children.length) return; // kept, so that a sorted header keeps the focus
    for (const column of columns) {
      const mark = h("span", { "aria-hidden": "true" });
      const button = h("button", { type: "button", onclick: () => {
        const query = model.get("query");
        // numbers and times are mostly looked at from the top
        const first = column.number || column.name === "time";
        ask({ sort: column.name, descending: query.sort === column.name ? !query.descending : first });
      } }, column.label, mark);
      head.append(h("th", { scope: "col", "data-name": column.name, class: column.number ? "molt-number" : null }, button));
    }
  };
  const drawSort = () => {
    const { sort, descending } = model.get("query");
    for (const th of head.children) {
      const way = th.dataset.name === sort ? (descending ? "descending" : "ascending") : "none";
      th.setAttribute("aria-sort", way);
      th.querySelector("span").textContent = arrows[way] || "";
    }
  };
  const drawRows = (view) => {
    const focused = [...body.children].findIndex((row) => row.contains(document.activeElement));
    body.replaceChildren(...view.rows.map((cells, r) => {
      const row = h("tr", { "data-id": view.ids[r] });
      cells.forEach((text, c) => {
        const column = view.columns[c];
        const cell = h(c ? "td" : "th", { class: column.number ? "molt-number" : `molt-${column.name}`, dir: "auto" });
        if (c) cell.textContent = text;
        else {
          const button = h("button", { type: "button", tabindex: r ? -1 : 0, title: "Open this decision" });
          button.textContent = text;
          cell.append(button);
          cell.scope = "row";
        }
        if (column.name === "prompt") cell.title = text;
        row.append(cell);
      });
      return row;
    }));
    if (!view.rows.length) {
      body.append(h("tr", {}, h("td", { colspan: view.columns.length }, view.total ? "No decision passes the filters." : "Nothing was logged yet.")));
    }
    if (focused >= 0) focusRow(focused);
    drawOpened();
  };
  const drawOpened = () => {
    const opened = model.get("opened");
    for (const row of body.querySelectorAll("tr[data-id]")) {
      row.classList.toggle("molt-opened", row.dataset.id === opened);
      row.querySelector("button").setAttribute("aria-expanded", String(row.dataset.id === opened));
    }
  };
  const buttons = () => [...body.querySelectorAll("th button")];
  const focusRow = (at) => {
    const all = buttons();
    const target = all[Math.max(0, Math.min(at, all.length - 1))];
    all.forEach((button) => { button.tabIndex = button === target ? 0 : -1; });
    target?.focus();
  };
  const open = (id) => {
    model.set("opened", id);
    model.save_changes();
  };
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    if (!row || (!event.target.closest("button") && String(document.getSelection()))) return; // text was selected, not clicked
    open(row.dataset.id === model.get("opened") ? "" : row.dataset.id);
  });
  body.addEventListener("keydown", (event) => {
    const at = buttons().indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons().length - 1 }[event.key];
    if (at >= 0 && to !== undefined) {
      focusRow(to);
      event.preventDefault();
    } else if (at >= 0 && (event.key === "PageDown" || event.key === "PageUp")) {
      turn(model.get("view").page + (event.key === "PageDown" ? 1 : -1));
      event.preventDefault();
    }
  });

  // -- pages

  const turn = (page) => {
    const { last_page: last, page: now } = model.get("view");
    const to = Math.max(0, Math.min(page, last));
    if (to !== now) ask({ page: to });
  };
  const at = () => model.get("view");
  const go = (text, label, page) => h("button", { type: "button", "aria-label": label, onclick: () => turn(page()) }, text);
  const back = [go("\u00ab", "First page", () => 0), go("\u2039", "Previous page", () => at().page - 1)];
  const forth = [go("\u203a", "Next page", () => at().page + 1), go("\u00bb", "Last page", () => at().last_page)];
  const turnToTyped = () => turn(Number(page.value || 1) - 1);
  const page = h("input", { type: "number", min: 1, "aria-label": "Page", onchange: turnToTyped, onkeydown: onEnter(turnToTyped) });
  const pages = h("span");
  const size = h("select", { "aria-label": "Rows of a page", onchange: () => ask({ page_size: Number(size.value) }) },
    ...PAGE_SIZES.map((n) => h("option", { value: n }, String(n))));
  const refresh = h("button", { type: "button", onclick: () => act({ do: "refresh" }) }, "Refresh");
  const pager = h("div", { class: "molt-bar", role: "navigation", "aria-label": "Pages of decisions" },
    count, h("span", { class: "molt-space" }), ...back, h("label", {}, "Page", page, pages), ...forth,
    h("label", {}, "Rows", size), refresh);

  const drawPager = (view) => {
    const last = view.start + view.rows.length;
    const rows = view.rows.length ? `Rows ${number(view.start + 1)}\u2013${number(last)} of ${number(view.found)}` : "No rows";
    count.textContent = rows + (view.found === view.total ? "" : ` (${number(view.total)} in all)`) + (view.ready ? "" : "; reading the others …");
    if (document.activeElement !== page) page.value = view.page + 1; // else it is being typed
    page.max = view.last_page + 1;
    pages.textContent = `of ${number(view.last_page + 1)}`;
    back.forEach((button) => { button.disabled = view.page === 0; });
    forth.forEach((button) => { button.disabled = view.page >= view.last_page; });
    size.value = String(model.get("query").page_size);
  };

  // -- what was done

  const said = h("div", { class: "molt-said", "aria-live": "polite" });
  const drawSaid = () => {
    const { text = "", failed = false } = model.get("said");
    said.textContent = text && (failed ? `\u26a0 ${text}` : text);
    said.classList.toggle("molt-failed", failed);
    if (failed) drawAll(); // what was asked for did not come
  };
  const write = () => act({ do: "export", file: file.value });
  const file = h("input", { type: "text", value: "decisions.csv", size: 22, "aria-label": "File to export to", spellcheck: "false",
    onkeydown: onEnter(write) });
  const exporting = h("div", { class: "molt-bar", role: "group", "aria-label": "Export" },
    h("label", {}, "Export what is filtered to", file), h("button", { type: "button", onclick: write }, "Export"),
    h("span", { class: "molt-hint" }, ".csv, .jsonl or .parquet, with all columns"));

  // -- the open decision

  const title = h("div", { role: "heading", "aria-level": "3", tabindex: "-1", class: "molt-title" });
  const forget = h("button", { type: "button", onclick: () => act({ do: "forget" }) }, "Forget cached answer");
  const code = h("pre", { tabindex: "0", role: "region", "aria-label": "Code that asks the same again", hidden: true });
  const copy = async () => {
    code.textContent = model.get("story").code;
    code.hidden = false; // to be copied by hand where there is no clipboard, and to see what was copied
    try {
      await navigator.clipboard.writeText(code.textContent);
      said.textContent = "Copied.";
    } catch {
      document.getSelection().selectAllChildren(code);
      said.textContent = "Selected: copy it with Ctrl+C or \u2318C.";
    }
  };
  const close = () => {
    const row = body.querySelector("tr.molt-opened button");
    open("");
    row?.focus();
  };
  const telling = h("div");
  const panel = h("section", { class: "molt-panel", "aria-label": "The open decision", hidden: true,
    onkeydown: (event) => { if (event.key === "Escape") close(); } },
    h("div", { class: "molt-bar" }, title, h("span", { class: "molt-space" }),
      h("button", { type: "button", onclick: close }, "Close")),
    h("div", { class: "molt-bar", role: "group", "aria-label": "What to do with this decision" },
      h("button", { type: "button", onclick: () => act({ do: "mark", good: true }) }, "\u2713 Good"),
      h("button", { type: "button", onclick: () => act({ do: "mark", good: false }) }, "\u2717 Bad"),
      forget, h("button", { type: "button", onclick: copy }, "Copy as code")),
    code, telling);
  let told = "";
  const drawStory = () => {
    const story = model.get("story");
    panel.hidden = !story.id;
    if (!story.id) told = "";
    if (!story.id) return;
    title.textContent = story.title;
    telling.innerHTML = story.html; // made by story.py, where everything is escaped
    forget.disabled = !story.cached;
    if (told === story.id) return; // the same one again, after a mark
    told = story.id;
    code.hidden = true;
    title.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  };

  // -- all of it

  const drawAll = () => {
    const view = model.get("view");
    waiting(false);
    drawHead(view.columns);
    drawSort();
    drawRows(view);
    drawPager(view);
    drawChoices(view.choices);
  };
  el.append(filters, h("div", { class: "molt-scroll" }, table), pager, exporting, said, panel);
  const listeners = { "change:view": drawAll, "change:opened": drawOpened, "change:story": drawStory, "change:said": drawSaid };
  Object.entries(listeners).forEach(([event, listener]) => model.on(event, listener));
  for (const [name, node] of Object.entries(inputs)) node.value = model.get("query")[name] ?? "";
  drawAll();
  drawStory();
  return () => {
    waiting(false);
    Object.entries(listeners).forEach(([event, listener]) => model.off(event, listener));
  };
}

export default { render };
