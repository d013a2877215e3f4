"use strict";
// Shows the rollout that is looked at. What models and users wrote becomes text nodes and property values, never HTML.

const $ = (id) => document.getElementById(id);
const { made, runs, prompts, grams, scales, pieces } = JSON.parse($("index").textContent);
const OWN = 1, PLANNING = 2, HIGH = 4; // flags of a token
const NONE = 0xffff; // of a log-probability or an entropy
const CELL = 5; // least width of a token in the strips, in pixels
const ORDERS = {
  "as sampled": null,
  "lowest reward": (run, i) => run.rollouts.reward[i],
  "highest reward": (run, i) => -run.rollouts.reward[i],
  "most planning": (run, i) => -run.rollouts.planning[i] / (run.rollouts.own[i] || 1),
  "longest": (run, i) => -run.rollouts.tokens[i],
};
const REWARDS = {
  "any": () => true,
  "above its group's mean": (run, i) => run.rollouts.advantage[i] > 0,
  "below its group's mean": (run, i) => run.rollouts.advantage[i] < 0,
  "groups that learn": (run, i) => run.groupOf[i].learns,
  "groups without signal": (run, i) => !run.groupOf[i].learns,
};

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const classes = (names) => Object.keys(names).filter((name) => names[name]).join(" ");
const short = (value) => (value === null ? "?" : String(+value.toFixed(2)).replace("-", "−"));
const signed = (value) => (value === null ? "unknown" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`);
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

// Characters that would be invisible, or would turn the text around them, by a name that is neither.
const HIDDEN = new RegExp(
  "[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
  "\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]", "gu");
const shown = (text) =>
  text.replace(HIDDEN, (c) => {
    const code = c.codePointAt(0);
    const name = code.toString(16).toUpperCase().padStart(4, "0");
    return code < 32 ? String.fromCharCode(0x2400 + code) : `⟨${name}⟩`;
  });

// ---- data

// A block that the parser has not reached yet is waited for: the page can be used while it loads.
async function arrived(id) {
  while (!$(id)?.nextSibling && document.readyState === "loading") await new Promise((done) => setTimeout(done, 20));
  return $(id).textContent;
}

async function inflate(id) {
  const packed = Uint8Array.from(atob(await arrived(id)), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const written = inflate("pieces").then((buffer) => {
  const bytes = new Uint8Array(buffer);
  return pieces.ends.map((end, i) => bytes.subarray(i ? pieces.ends[i - 1] : 0, end));
});

async function load(run, i) {
  const buffer = await inflate(`block${run.first + i}`);
  const bytes = await written;
  const n = run.rollouts.tokens[i];
  let at = 0;
  const column = (Kind) => new Kind(buffer.slice(at, (at += n * Kind.BYTES_PER_ELEMENT)));
  const low = column(Uint16Array), high = column(Uint8Array);
  const rollout = { i, n, piece: Array.from(low, (number, t) => number + (high[t] << 16)), flags: column(Uint8Array) };
  rollout.gram = column(Int32Array);
  rollout.bytes = rollout.piece.map((number) => bytes[number]);
  if (!run.words) {
    rollout.credited = column(Float32Array);
    rollout.logp = column(Uint16Array);
    rollout.entropy = column(Uint16Array);
  }
  return rollout;
}

// A character that several tokens wrote is shown at the one that completes it.
function texts(rollout) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const found = rollout.bytes.map((bytes) => decoder.decode(bytes, { stream: true }));
  if (found.length) found[found.length - 1] += decoder.decode();
  return found.map(shown);
}

async function wholeText(run, i) {
  const { bytes } = await load(run, i);
  const all = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of bytes) all.set(part, at), (at += part.length);
  return shown(new TextDecoder("utf-8", { ignoreBOM: true }).decode(all));
}

for (const run of runs) {
  const { step, group, prompt, reward, advantage } = run.rollouts;
  const found = new Map();
  run.groupOf = step.map((_, i) => {
    const key = `${step[i]}.${group[i]}`;
    if (!found.has(key)) found.set(key, { step: step[i], group: group[i], prompt: prompt[i], members: [] });
    found.get(key).members.push(i);
    return found.get(key);
  });
  run.groups = [...found.values()];
  for (const each of run.groups) {
    each.learns = each.members.some((i) => advantage[i] !== 0);
    each.mean = mean(each.members.map((i) => reward[i]));
  }
  run.prompts = new Set(prompt);
  run.texts = [];
}

// ---- one run's rollout

class Pane {
  constructor(run) {
    this.run = run;
    this.token = 0;
    this.hovered = null;
    this.first = 0;
    this.matches = [];
    const facts = Object.entries(run.facts).map(([name, value]) => `${name} ${value}`).join(" · ");
    const button = (name, key, sign) =>
      make("button", { type: "button", title: `${name} (${key})`, ariaLabel: name }, sign);
    this.previous = button("previous in the group", "p", "◀");
    this.next = button("next in the group", "n", "▶");
    this.place = make("span", { className: "meta" });
    this.when = make("select", { ariaLabel: "Where this problem occurs" });
    this.meta = make("p", { className: "meta" });
    this.prompt = make("pre", { tabIndex: 0, ariaLabel: "Prompt", role: "group" });
    this.labels = make("ol");
    this.canvas = make("canvas", { role: "img", ariaLabel: "What the tokens below are and got, as strips" });
    this.says = make("p", { className: "says", role: "status" });
    this.tokens = make("pre", { className: "tokens", role: "group", ariaLabel: `Completion of ${run.name}` });
    this.body = make("div", {},
      make("nav", { ariaLabel: `Group of ${run.name}` }, this.previous, this.place, this.next, this.when), this.meta,
      make("details", { className: "prompt", open: true }, make("summary", {}, "Prompt"), this.prompt),
      make("div", { className: "deck" }, make("div", { className: "strips" }, this.labels, this.canvas), this.says),
      this.tokens);
    this.missing = make("p", { className: "note", hidden: true });
    const origin = Object.entries(run.origin).flatMap(([name, value]) => (
      [make("dt", {}, name), make("dd", {}, shown(value))]));
    this.from = make("details", { className: "from", hidden: !origin.length },
      make("summary", {}, "Where it comes from"), make("dl", {}, ...origin));
    this.element = make("section", { className: "pane", ariaLabel: run.name },
      make("header", {}, make("h2", {}, shown(run.name)), make("span", { className: "facts" }, shown(facts))), this.from,
      ...run.alarms.map((alarm) => make("p", { className: "alarm" }, shown(alarm))),
      ...run.notes.map((note) => make("p", { className: "note" }, shown(note))), this.missing, this.body);
    this.strip("class");
    if (!run.words) {
      this.strip("advantage", `±${short(scales.advantage)}`);
      this.strip("credited", `±${short(scales.advantage)}`);
      this.strip("entropy", `0 to ${short(scales.entropy)}`);
      this.strip("log-prob.", `0 to −${short(scales.logp)}`);
    }
    this.overview = this.strip("all");
    this.listen();
  }

  strip(name, scale = "") {
    const label = make("li", { className: scale ? "" : "thin" }, name, make("small", {}, scale));
    this.labels.append(label);
    return label;
  }

  listen() {
    const at = (event) => event.target.closest?.(".t")?.number;
    this.element.addEventListener("pointerdown", () => activate(this));
    this.element.addEventListener("focusin", () => activate(this));
    this.previous.addEventListener("click", () => this.inGroup(-1));
    this.next.addEventListener("click", () => this.inGroup(1));
    this.when.addEventListener("change", () => this.show(+this.when.value));
    this.tokens.addEventListener("pointerover", (event) => this.over(at(event) ?? null));
    this.tokens.addEventListener("pointerleave", () => this.over(null));
    this.tokens.addEventListener("click", (event) => at(event) !== undefined && this.choose(at(event)));
    this.canvas.addEventListener("pointermove", (event) => this.over(this.cell(event)));
    this.canvas.addEventListener("pointerleave", () => this.over(null));
    this.canvas.addEventListener("click", (event) => {
      const t = this.cell(event);
      if (t !== null) this.choose(t, { scroll: true });
    });
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.deltaX && !event.shiftKey) return;
      event.preventDefault();
      this.first += Math.round((event.deltaX || event.deltaY) / CELL);
      this.draw();
    }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  async show(i, token = 0) {
    this.wanted = i;
    this.missing.hidden = i !== null;
    this.body.hidden = i === null;
    if (i === null) {
      this.rollout = null;
      this.missing.textContent = `${shown(this.run.name)} has no rollout of this problem here.`;
      return;
    }
    const rollout = await load(this.run, i);
    if (this.wanted !== i) return;
    const { run } = this, group = run.groupOf[i], column = run.rollouts;
    this.rollout = rollout;
    this.texts = texts(rollout);
    this.place.textContent = `${group.members.indexOf(i) + 1} of ${group.members.length}`;
    this.previous.disabled = this.next.disabled = group.members.length < 2;
    const same = run.groups.filter((other) => other.prompt === group.prompt);
    this.when.hidden = same.length < 2;
    this.when.replaceChildren(...same.map((other) => {
      const place = `step ${other.step}, group ${other.group}`;
      return make("option", { value: other.members[0], selected: other === group }, place);
    }));
    const rewards = run.rewardNames.map((name, k) => `${shown(name)} ${short(column.rewards[i][k])}`);
    this.meta.textContent = [
      `step ${group.step}, group ${group.group}`,
      rewards.length === 1 ? rewards[0] : `reward ${short(column.reward[i])} (${rewards.join(", ")})`,
      `advantage ${signed(column.advantage[i])}`,
      `${column.tokens[i]} ${run.words ? "words" : "tokens"}`,
      `${percent(column.planning[i] / (column.own[i] || 1))} planning`,
      ...(column.cut[i] ? ["cut at the limit"] : []),
    ].join(" · ");
    this.prompt.textContent = shown(prompts[group.prompt]);
    this.tokens.replaceChildren(...this.texts.map((text, t) => {
      const flags = rollout.flags[t];
      const kinds = classes({
        t: true, o: !(flags & OWN), p: flags & PLANNING, h: flags & HIGH, nl: text.includes("\n"), part: !text,
      });
      return make("span", { className: kinds, tabIndex: -1, number: t }, text);
    }));
    this.token = Math.min(Math.max(token, 0), Math.max(rollout.n - 1, 0));
    this.first = 0;
    this.hovered = null;
    this.find();
    this.choose(token || !this.matches.length ? this.token : this.matches[0].t);
    this.element.scrollTop = 0;
    if (this.token) this.reveal();
    mark();
    document.documentElement.dataset.usable ??= Math.round(performance.now());
  }

  inGroup(by) {
    if (!this.rollout) return;
    const { members } = this.run.groupOf[this.rollout.i];
    this.show(members[(members.indexOf(this.rollout.i) + by + members.length) % members.length]);
  }

  choose(t, { scroll = false, focus = false } = {}) {
    const spans = this.tokens.children;
    if (!spans.length) return this.draw(), this.say(null);
    if (spans[this.token]) spans[this.token].tabIndex = -1;
    this.token = Math.min(Math.max(t, 0), spans.length - 1);
    spans[this.token].tabIndex = 0;
    if (focus) spans[this.token].focus({ preventScroll: true });
    if (scroll || focus) this.reveal();
    this.into(this.token);
    this.draw();
    this.say(this.token);
    remember();
  }

  reveal() {
    this.tokens.children[this.token].scrollIntoView({ block: "nearest" });
  }

  over(t) {
    if (t === this.hovered || !this.rollout) return;
    this.tokens.children[this.hovered]?.classList.remove("over");
    this.hovered = t;
    this.tokens.children[t]?.classList.add("over");
    this.draw();
    this.say(t ?? this.token);
  }

  say(t) {
    if (t === null || !this.rollout.n) return this.says.replaceChildren("Nothing was written.");
    const { rollout, run } = this, flags = rollout.flags[t], gram = rollout.gram[t];
    const id = pieces.ids[rollout.piece[t]];
    const bytes = Array.from(rollout.bytes[t], (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = this.texts[t].replaceAll("\n", "↵") || bytes || "nothing";
    const kind = [flags & PLANNING ? "planning" : "execution"];
    if (flags & HIGH) kind.push("high entropy");
    if (!(flags & OWN)) kind.push("not the model's own");
    const facts = [
      [`${run.words ? "word" : "token"} ${t + 1} of ${rollout.n} `, make("q", {}, text), id < 0 ? "" : ` id ${id}`],
      [make("b", {}, kind.join(", "))],
      ...(gram < 0 ? [] : [["gram ", make("q", {}, shown(grams[gram]))]]),
    ];
    if (!run.words) {
      const before = run.rollouts.advantage[rollout.i], { logp, entropy } = rollout;
      facts.push(
        [`advantage ${signed(before)}, credited `, make("b", {}, signed(rollout.credited[t]))],
        [entropy[t] === NONE ? "no entropy" : `entropy ${(entropy[t] / 1000).toFixed(3)} nats`],
        [logp[t] === NONE ? "no log-probability"
          : `log-probability −${(logp[t] / 1000).toFixed(3)} (${percent(Math.exp(-logp[t] / 1000))})`]);
    }
    this.says.replaceChildren(...facts.map((fact) => make("span", {}, ...fact)));
  }

  // The token of the line above or below that is nearest.
  line(direction) {
    const spans = this.tokens.children, here = spans[this.token]?.getClientRects()[0];
    let best = this.token, nearest = Infinity, line = null;
    for (let t = this.token + direction; here && spans[t]; t += direction) {
      const rect = spans[t].getClientRects()[0];
      if (!rect || Math.abs(rect.top - here.top) < 5) continue;
      line ??= rect.top;
      if (Math.abs(rect.top - line) > 5) break;
      const distance = Math.abs(rect.left - here.left);
      if (distance < nearest) [best, nearest] = [t, distance];
    }
    this.choose(best, { focus: true });
  }

  // The first token of the next or previous strategic gram.
  gram(direction) {
    const { flags, gram, n } = this.rollout;
    const begins = (t) => flags[t] & PLANNING && (t === 0 || !(flags[t - 1] & PLANNING) || gram[t - 1] !== gram[t]);
    for (let t = this.token + direction; t >= 0 && t < n; t += direction) {
      if (begins(t)) return this.choose(t, { focus: true });
    }
  }

  // ---- strips: one cell a token, a window of them where they are many, and below it all of them

  layout() {
    const width = this.canvas.clientWidth, n = this.rollout.n;
    const cell = n * CELL <= width ? Math.min(14, width / n) : CELL;
    const count = Math.min(n, Math.floor(width / cell));
    this.first = Math.min(Math.max(this.first, 0), n - count);
    return { width, cell, count, n };
  }

  into(t) {
    const { count } = this.layout();
    if (t < this.first || t >= this.first + count) this.first = t - (count >> 1);
  }

  cell(event) {
    if (!this.rollout?.n) return null;
    const { width, cell, count, n } = this.layout();
    const inAll = !this.overview.hidden && event.offsetY >= this.overview.offsetTop - this.labels.offsetTop;
    const t = inAll ? Math.floor((event.offsetX / width) * n) : this.first + Math.floor(event.offsetX / cell);
    return t >= 0 && t < (inAll ? n : this.first + count) ? t : null;
  }

  draw() {
    if (!this.rollout || !this.canvas.clientWidth) return;
    const { rollout, run, canvas, labels } = this, { width, cell, count, n } = this.layout();
    this.overview.hidden = count === n;
    const height = labels.offsetHeight, density = devicePixelRatio;
    canvas.style.height = `${height}px`;
    canvas.width = width * density;
    canvas.height = height * density;
    const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(`--${name}`);
    const pen = canvas.getContext("2d");
    pen.scale(density, density);
    const bar = (name, x, y, w, h) => ((pen.fillStyle = color(name)), pen.fillRect(x, y, w, h));
    const rows = Array.from(labels.children, ({ offsetTop, offsetHeight }) => (
      { top: offsetTop - labels.offsetTop, height: offsetHeight }));
    // Planning above, high entropy below: told apart by place as well as by colour.
    const kinds = (flags, x, w, { top, height }) => {
      const half = (height - 4) / 2;
      if (flags & PLANNING) bar("planning-line", x, top + 2, w, half);
      if (flags & HIGH) bar("high-line", x, top + 2 + half, w, half);
      if (!(flags & (PLANNING | HIGH))) bar("line", x, top + 1 + half, w, 2);
    };
    const gap = cell > 3 ? 1 : 0, before = run.rollouts.advantage[rollout.i] ?? 0;
    for (let t = this.first; t < this.first + count; t++) {
      const x = (t - this.first) * cell, w = cell - gap, flags = rollout.flags[t];
      kinds(flags, x, w, rows[0]);
      if (run.words || !(flags & OWN)) continue;
      [before, rollout.credited[t]].forEach((value, k) => {
        const { top, height } = rows[1 + k], middle = top + height / 2, most = height / 2 - 2;
        const tall = (advantage) => Math.min(Math.abs(advantage) / scales.advantage, 1) * most;
        const size = tall(value);
        bar("line", x, middle, cell, 1);
        bar(value < 0 ? "down" : "up", x, value < 0 ? middle : middle - size, w, size);
        // A line where the bar would end without credit
        const end = before < 0 ? middle + tall(before) - 1 : middle - tall(before);
        if (k && Math.abs(value - before) > 1e-5) bar("here", x, end, w, 1);
      });
      [[rollout.entropy[t], scales.entropy], [rollout.logp[t], scales.logp]].forEach(([value, scale], k) => {
        const { top, height } = rows[3 + k];
        const size = value === NONE ? 0 : Math.min(value / 1000 / scale, 1) * (height - 4);
        bar("plain", x, k ? top + 2 : top + height - 2 - size, w, size);
        bar("line", x, k ? top + 2 : top + height - 2, cell, 1);
      });
    }
    if (count < n) {
      const all = rows.at(-1), flags = new Uint8Array(Math.ceil(width));
      rollout.flags.forEach((value, t) => (flags[Math.floor((t / n) * width)] |= value));
      flags.forEach((value, x) => kinds(value, x, 1, all));
      const left = (this.first / n) * width, size = Math.max((count / n) * width, 2);
      pen.strokeStyle = color("here");
      pen.strokeRect(left + 0.5, all.top + 0.5, size - 1, all.height - 1);
    }
    for (const [t, name] of [[this.hovered, "soft"], [this.token, "here"]]) {
      if (t === null || t < this.first || t >= this.first + count) continue;
      pen.strokeStyle = color(name);
      pen.strokeRect((t - this.first) * cell - 0.5, 0.5, cell, (count < n ? rows.at(-1).top : height) - 1);
    }
  }

  // ---- search

  find() {
    this.matches = [];
    const pattern = searchPattern("giu");
    if (pattern && this.rollout) {
      const ends = [];
      this.texts.reduce((end, text) => (ends.push(end + text.length), end + text.length), 0);
      const spot = (at, isEnd) => {
        let t = 0;
        for (let high = ends.length - 1; t < high; ) {
          const middle = (t + high) >> 1;
          if (isEnd ? ends[middle] >= at : ends[middle] > at) high = middle;
          else t = middle + 1;
        }
        return { t, node: this.tokens.children[t].firstChild, offset: at - (t ? ends[t - 1] : 0) };
      };
      for (const match of this.texts.join("").matchAll(pattern)) {
        const start = spot(match.index, false), end = spot(match.index + match[0].length, true), range = new Range();
        range.setStart(start.node, start.offset);
        range.setEnd(end.node, end.offset);
        this.matches.push({ t: start.t, range });
      }
    }
    CSS.highlights?.set("found", new Highlight(...panes.flatMap((pane) => pane.matches.map(({ range }) => range))));
  }
}

// ---- the page

const panes = [];
const state = { list: 0, visible: [], query: "", hits: null, searching: 0 };
let active = null;

function activate(pane) {
  active = pane;
  panes.forEach((other) => other.element.classList.toggle("active", other === pane));
}

// Shows a rollout of the listed run, and beside it the same problem of the other run, at the nearest step.
function open(i, token = 0) {
  const run = runs[state.list], group = run.groupOf[i];
  panes.forEach((pane, r) => {
    if (r === state.list) return pane.show(i, token);
    const same = pane.run.groups.filter((other) => other.prompt === group.prompt);
    same.sort((a, b) => Math.abs(a.step - group.step) - Math.abs(b.step - group.step));
    const members = same[0]?.members;
    pane.show(members ? members[Math.min(group.members.indexOf(i), members.length - 1)] : null);
  });
}

function listed() {
  const run = runs[state.list], step = $("step").value, order = ORDERS[$("order").value];
  const fits = REWARDS[$("reward").value] ?? ((_, i) => String(run.rollouts.reward[i]) === $("reward").value);
  let groups = run.groups.filter((group) => step === "all" || group.step === +step);
  if ($("both").checked) groups = groups.filter((group) => runs.every((other) => other.prompts.has(group.prompt)));
  groups = groups.map((group) => ({ group, members: group.members.filter((i) => fits(run, i)) }));
  groups = groups.filter(({ members }) => members.some((i) => !state.hits || state.hits.has(i)));
  if (order) {
    const value = new Map(groups.map((each) => [each, mean(each.members.map((i) => order(run, i)))]));
    groups.sort((a, b) => value.get(a) - value.get(b));
  }
  return groups;
}

function renderList() {
  const run = runs[state.list], { rollouts } = run;
  state.visible = listed();
  const chip = (i) => {
    const [reward, cut] = [short(rollouts.reward[i]), rollouts.cut[i]];
    const length = `${rollouts.tokens[i]} ${run.words ? "words" : "tokens"}${cut ? ", cut" : ""}`;
    const label = `rollout ${rollouts.index[i]}, reward ${reward}, ${length}`;
    const className = classes({
      chip: true, good: rollouts.advantage[i] > 0, cut, miss: state.hits && !state.hits.has(i),
    });
    const named = { ariaLabel: label, title: label };
    return make("button", { type: "button", className, number: i, tabIndex: -1, ...named }, reward);
  };
  $("list").replaceChildren(...state.visible.map(({ group, members }) =>
    make("li", { className: "group" },
      make("div", { className: "where" },
        make("span", {}, `step ${group.step}, group ${group.group}`), make("span", {}, `mean ${short(group.mean)}`)),
      make("div", { className: "asked" }, shown(prompts[group.prompt].slice(0, 240))),
      make("div", { className: "chips" }, ...members.map(chip)))));
  const total = state.visible.flatMap(({ members }) => members).filter((i) => !state.hits || state.hits.has(i)).length;
  const groups = state.visible.length;
  $("found").textContent = total
    ? `${total} rollout${total > 1 ? "s" : ""} in ${groups} group${groups > 1 ? "s" : ""}${state.progress ?? ""}`
    : `Nothing is like this${state.progress ?? ""}.`;
  mark();
}

// The rollout that is shown, in the list.
function mark() {
  const shownNow = panes[state.list]?.rollout?.i;
  const chips = [...$("list").querySelectorAll(".chip")];
  for (const chip of chips) {
    const here = chip.number === shownNow;
    if (here) chip.ariaCurrent = "true";
    else chip.removeAttribute("aria-current");
    chip.tabIndex = here ? 0 : -1;
    if (here && matchMedia("(min-width: 761px)").matches) chip.scrollIntoView({ block: "nearest" });
  }
  if (chips.length && !chips.some((chip) => chip.tabIndex === 0)) chips[0].tabIndex = 0;
}

function move(by, wholeGroups = false) {
  const groups = state.visible.map(({ members }) => members.filter((i) => !state.hits || state.hits.has(i)));
  const all = wholeGroups ? groups.map((members) => members[0]) : groups.flat();
  if (!all.length) return;
  const now = panes[state.list].rollout?.i;
  let at = wholeGroups ? groups.findIndex((members) => members.includes(now)) : all.indexOf(now);
  at = at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1);
  open(all[at]);
  const inList = document.activeElement.closest("#list");
  if (inList) [...$("list").querySelectorAll(".chip")].find((chip) => chip.number === all[at])?.focus();
}

function searchPattern(flags) {
  const words = state.query.trim().replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+");
  return words ? new RegExp(words, flags) : null;
}

async function search() {
  const mine = ++state.searching, run = runs[state.list];
  state.query = $("query").value;
  state.progress = "";
  state.hits = null;
  panes.forEach((pane) => pane.find());
  const wanted = searchPattern("iu"), { prompt } = run.rollouts;
  if (!wanted) return renderList();
  const asked = prompts.map((text) => wanted.test(shown(text)));
  state.hits = new Set([...prompt.keys()].filter((i) => asked[prompt[i]]));
  let told = performance.now();
  for (let i = 0; i < prompt.length; i += 16) {
    const part = [...Array(Math.min(16, prompt.length - i)).keys()].map((k) => i + k);
    await Promise.all(part.map(async (k) => (run.texts[k] ??= await wholeText(run, k))));
    if (mine !== state.searching) return;
    for (const k of part) if (wanted.test(run.texts[k])) state.hits.add(k);
    if (performance.now() - told < 250) continue;
    told = performance.now();
    state.progress = `, ${i} of ${prompt.length} searched`;
    renderList();
  }
  state.progress = "";
  renderList();
  remember();
}

// The next place found: in this rollout, or in the next one of the list.
function nextMatch() {
  const pane = panes[state.list], match = pane.matches.find(({ t }) => t > pane.token);
  if (match) return pane.choose(match.t, { scroll: true });
  move(1);
}

// ---- the address

let later = null;
function remember() {
  clearTimeout(later);
  later = setTimeout(() => {
    const place = new URLSearchParams();
    panes.forEach((pane, r) => {
      if (!pane.rollout) return;
      const { step, group, index } = pane.run.rollouts, { i } = pane.rollout;
      place.set("ab"[r], [step[i], group[i], index[i], pane.token + 1].join("."));
    });
    if (state.list) place.set("run", "b");
    if ($("both").checked) place.set("both", "1");
    for (const name of ["step", "reward", "order", "query"]) {
      const field = $(name), usual = field.options?.[0].value ?? "";
      if (field.value !== usual) place.set(name, field.value);
    }
    history.replaceState(null, "", `#${place}`);
  }, 150);
}

function fillFilters() {
  const { rollouts } = runs[state.list];
  const rewards = [...new Set(rollouts.reward)].filter((value) => value !== null).sort((a, b) => a - b);
  const options = (id, values, name = (value) => value) => {
    const kept = $(id).value;
    $(id).replaceChildren(...values.map((value) => make("option", { value }, name(value))));
    if (values.map(String).includes(kept)) $(id).value = kept;
  };
  options("step", ["all", ...new Set(rollouts.step)]);
  const named = Object.keys(REWARDS);
  const values = [...named, ...(rewards.length <= 12 ? rewards : [])];
  options("reward", values, (value) => (REWARDS[value] ? value : short(value)));
  options("order", Object.keys(ORDERS));
}

// Goes where the address says; what it does not say, or is not there, is the usual.
function restore() {
  const place = new URLSearchParams(location.hash.slice(1));
  state.list = runs.length > 1 && place.get("run") === "b" ? 1 : 0;
  $("run").value = state.list;
  fillFilters();
  for (const name of ["step", "reward", "order", "query"]) {
    const field = $(name), value = place.get(name);
    field.value = value ?? field.options?.[0].value ?? "";
    if (field.selectedIndex < 0) field.selectedIndex = 0;
  }
  $("both").checked = place.get("both") === "1";
  search();
  const found = panes.map(({ run: { rollouts } }, r) => {
    const [step, group, index, token] = (place.get("ab"[r]) ?? "").split(".").map(Number);
    const i = rollouts.step.findIndex((other, k) =>
      other === step && rollouts.group[k] === group && rollouts.index[k] === index);
    return { i, token: (token || 1) - 1 };
  });
  const here = found[state.list];
  if (here.i < 0) return open(state.visible[0]?.members[0] ?? 0);
  open(here.i, here.token);
  found.forEach(({ i, token }, r) => r !== state.list && i >= 0 && panes[r].show(i, token));
}

// ---- keys and clicks

const KEYS = {
  j: () => move(1), k: () => move(-1), J: () => move(1, true), K: () => move(-1, true),
  n: () => active.inGroup(1), p: () => active.inGroup(-1),
  x: () => {
    activate(panes[(panes.indexOf(active) + 1) % panes.length]);
    if (active.rollout) active.choose(active.token, { focus: true });
  },
  "/": () => ($("query").focus(), $("query").select()),
  "?": () => $("keys").showModal(),
};
const TOKEN_KEYS = {
  ArrowLeft: () => active.choose(active.token - 1, { focus: true }),
  ArrowRight: () => active.choose(active.token + 1, { focus: true }),
  ArrowUp: () => active.line(-1), ArrowDown: () => active.line(1),
  Home: () => active.choose(0, { focus: true }), End: () => active.choose(Infinity, { focus: true }),
  "Shift+ArrowLeft": () => active.gram(-1), "Shift+ArrowRight": () => active.gram(1),
};
const LIST_KEYS = {
  ArrowLeft: () => move(-1), ArrowRight: () => move(1), ArrowUp: () => move(-1, true), ArrowDown: () => move(1, true),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.target === $("query")) {
    if (event.key === "Enter") nextMatch();
    else if (event.key === "Escape") active.choose(active.token, { focus: true });
    return;
  }
  if (event.target.closest?.("input, select")) return;
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const action = KEYS[key] ?? (event.target.closest?.("#list") ? LIST_KEYS[key] : active.rollout && TOKEN_KEYS[key]);
  if (!action) return;
  event.preventDefault();
  action();
});

$("list").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip"), group = event.target.closest(".group");
  if (chip) open(chip.number);
  else if (group) open(group.querySelector(".chip").number);
});
$("help").addEventListener("click", KEYS["?"]);
let typing = null;
$("query").addEventListener("input", () => (clearTimeout(typing), (typing = setTimeout(search, 150))));
for (const id of ["step", "reward", "order", "both"]) {
  $(id).addEventListener("change", () => (renderList(), remember()));
}
$("run").addEventListener("change", () => {
  state.list = +$("run").value;
  fillFilters();
  search();
  activate(panes[state.list]);
  mark();
  remember();
});
addEventListener("hashchange", restore);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panes.forEach((pane) => pane.draw()));

document.title = `Rollouts: ${runs.map((run) => shown(run.name)).join(", ")}`;
$("made").textContent = made;
$("of").hidden = $("shared").hidden = runs.length < 2;
$("panes").classList.toggle("two", runs.length > 1);
document.body.classList.toggle("words", runs.every((run) => run.words));
$("run").replaceChildren(...runs.map((run, r) => make("option", { value: r }, shown(run.name))));
panes.push(...runs.map((run) => new Pane(run)));
$("panes").append(...panes.map((pane) => pane.element));
activate(panes[0]);
restore();
