"use strict";
(() => {
  const boards = JSON.parse(document.getElementById("numbers").textContent);
  const STEP = 0, EPOCH = 1, SECONDS = 2, TRAIN_LOSS = 3, VALIDATION_LOSS = 4, SCORE = 5, GENERATOR_LOSS = 6;
  const LOSSES = [TRAIN_LOSS, VALIDATION_LOSS, GENERATOR_LOSS];
  const COSTS = {
    train_seconds: ["Training time of one seed", seconds],
    parameters: ["Parameters", count],
    flops: ["FLOPs for one example", count],
    latency: ["Median latency of one example", (v) => `${short(v)} ms`],
  };

  // Light and dark: what was chosen here, or else what the system asks for.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const remember = (value) => {
    // A page opened from a file may be refused storage; the choice then lasts as long as the page.
    try { return value ? localStorage.setItem("quintet-theme", value) : localStorage.getItem("quintet-theme"); }
    catch { return null; }
  };
  const chosen = remember();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
  });

  // Tables: a click on a heading sorts, another turns round; cells without a value stay last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.querySelector("button")?.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const next = now === "none" ? heading.dataset.first : now === "ascending" ? "descending" : "ascending";
        headings.forEach((h) => h.hasAttribute("aria-sort") && h.setAttribute("aria-sort", "none"));
        heading.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const key = (row) => row.cells[column].dataset.sort;
        const body = table.tBodies[0];
        [...body.rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
          return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
        }).forEach((row) => body.append(row));
      });
    });
  }

  // Numbers as text.
  function short(v) {
    const size = Math.abs(v);
    return size >= 99.95 ? v.toFixed(0) : String(+v.toPrecision(3));
  }
  function count(v) {
    for (const [size, unit] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]])
      if (v >= 0.9995 * size) return short(v / size) + unit;
    return short(v);
  }
  function seconds(v) {
    return v >= 3600 ? `${short(v / 3600)} h` : v >= 120 ? `${short(v / 60)} min` : `${short(v)} s`;
  }
  function figure(board, v) {
    const size = Math.abs(v);
    return board.share ? `${(100 * v).toFixed(board.decimals)} %` : v.toFixed(size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0);
  }
  const mark = (board, t) => (board.share ? `${+(100 * t).toFixed(3)} %` : String(t));

  // Drawing.
  function draw(name, attributes = {}, parent = null, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    parent?.append(node);
    return node;
  }
  function chart(holder, width, height, label) {
    const svg = draw("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    holder.append(svg);
    return svg;
  }
  function ticks(low, high, wanted) {
    const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(+(n * step).toPrecision(12));
    return found;
  }
  // Round times are not round numbers of seconds.
  const CLOCK = [0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 43200, 86400, 259200, 604800];
  function clockTicks(low, high, room) {
    let found = CLOCK.filter((t) => t >= low && t <= high);
    while (found.length > room) found = found.filter((_, i) => i % 2 === 0);
    return found.length > 1 ? found : logTicks(low, high, room);
  }
  function logTicks(low, high, room) {
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const m of steps) if (m * 10 ** e >= low && m * 10 ** e <= high) found.push(m * 10 ** e);
      if (found.length <= room) return found;
    }
    return [low, high];
  }
  // Each family has its own shape, so that colour is never needed to tell them apart.
  function shape(style, x, y, r) {
    const at = (points) => "M" + points.map(([a, b]) => `${x + a * r} ${y + b * r}`).join("L") + "Z";
    switch (style) {
      case "family-transformer": return at([[-.9, -.9], [.9, -.9], [.9, .9], [-.9, .9]]);
      case "family-rnn": return at([[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]]);
      case "family-bert": return at([[0, -1.2], [1.15, .9], [-1.15, .9]]);
      case "family-hybrid": return at([[0, 1.2], [1.15, -.9], [-1.15, -.9]]);
      case "family-gan": return at([[-.4, -1.1], [.4, -1.1], [.4, -.4], [1.1, -.4], [1.1, .4], [.4, .4], [.4, 1.1], [-.4, 1.1], [-.4, .4], [-1.1, .4], [-1.1, -.4], [-.4, -.4]]);
      default: return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
    }
  }

  function costPlot(holder, board, cost) {
    const [title, unit] = COSTS[cost];
    const points = board.rows.filter((r) => r.costs[cost] > 0);
    holder.replaceChildren();
    if (!points.length) { holder.textContent = "Not measured."; return; }
    const width = Math.max(280, holder.clientWidth), height = Math.round(Math.min(440, Math.max(290, width * 0.46)));
    const [low, high] = board.domain;
    const inside = (v) => v >= low && v <= high;
    const shown = points.filter((r) => inside(r.value)), hidden = points.filter((r) => !inside(r.value));
    if (!shown.length) { holder.textContent = "Not measured."; return; }
    // Where there is no room for names, points carry their rank, and a line below says who they are.
    const narrow = width < 560;
    const svg = chart(holder, width, height, `${board.metric} against ${title.toLowerCase()}`);
    const left = 56, right = width - 16, top = 14, bottom = height - 46;
    const prices = shown.map((r) => r.costs[cost]);
    let [from, to] = [Math.log10(Math.min(...prices)), Math.log10(Math.max(...prices))];
    const margin = Math.max(0.12, (to - from) * 0.1);
    [from, to] = [from - margin, to + margin * 1.6];
    const x = (v) => left + ((Math.log10(v) - from) / (to - from)) * (right - left);
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
    for (const t of ticks(low, high, 5)) {
      draw("line", { class: "grid", x1: left, x2: right, y1: y(t), y2: y(t) }, svg);
      draw("text", { x: left - 9, y: y(t) + 4, "text-anchor": "end" }, svg, mark(board, t));
    }
    for (const t of (cost === "train_seconds" ? clockTicks : logTicks)(10 ** from, 10 ** to, width / 75)) {
      draw("line", { class: "grid", x1: x(t), x2: x(t), y1: top, y2: bottom }, svg);
      draw("text", { x: x(t), y: bottom + 18, "text-anchor": "middle" }, svg, unit(t));
    }
    draw("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }, svg);
    draw("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, svg, `${title}, logarithmic`);

    const boxes = [];
    const base = board.rows.find((r) => r.baseline);
    if (base && inside(base.value)) {
      draw("line", { class: "base", x1: left, x2: right, y1: y(base.value), y2: y(base.value) }, svg);
      // Its point carries the name where its cost was measured.
      if (!(base.costs[cost] > 0)) {
        draw("text", { x: right - 4, y: y(base.value) - 6, "text-anchor": "end" }, svg, base.title);
        boxes.push([right - 4 - 6.4 * base.title.length, y(base.value) - 18, right, y(base.value)]);
      }
    }
    const front = shown.filter((r) => r.front.includes(cost)).sort((a, b) => a.costs[cost] - b.costs[cost]);
    if (front.length) {
      let path = `M${x(front[0].costs[cost])} ${y(front[0].value)}`;
      for (const r of front.slice(1)) path += `H${x(r.costs[cost])}V${y(r.value)}`;
      draw("path", { class: "front", d: path + `H${right}` }, svg);
    }
    for (const r of shown) {
      const [px, py] = [x(r.costs[cost]), y(r.value)];
      const group = draw("g", { class: `dot ${r.style}` }, svg);
      draw("title", {}, group, `${r.title} (${r.family}): ${figure(board, r.value)} [${figure(board, r.low)}, ${figure(board, r.high)}], ${unit(r.costs[cost])}`);
      draw("line", { class: "error", x1: px, x2: px, y1: y(Math.max(r.low, low)), y2: y(Math.min(r.high, high)) }, group);
      draw("path", { class: r.front.includes(cost) ? "point on" : "point", d: shape(r.style, px, py, 6) }, group);
      boxes.push([px - 7, py - 7, px + 7, py + 7]);
    }
    // A label takes the first place around its point that is free, the front's first.
    for (const r of [...shown].sort((a, b) => b.front.includes(cost) - a.front.includes(cost))) {
      const [px, py] = [x(r.costs[cost]), y(r.value)], on = r.front.includes(cost);
      const text = draw("text", { class: on ? "label on" : "label" }, svg, narrow ? r.rank : r.title);
      const wide = text.getComputedTextLength();
      // The front's line runs to the right of its points: their labels go above it.
      const places = on ? [[px + 4, py - 15], [px - wide - 4, py - 15]] : [];
      for (const far of [0, 14, 28, 42, 60])
        for (const [dx, dy] of [[11, -far], [11, far], [-11 - wide, -far], [-11 - wide, far], [-wide / 2, -15 - far], [-wide / 2, 16 + far]])
          places.push([px + dx, py + dy]);
      const taken = ([a, b]) => {
        const box = [a - 2, b - 8, a + wide + 2, b + 8];
        const out = box[0] < left || box[2] > right + 12 || box[1] < top - 10 || box[3] > bottom;
        return (out ? 1e6 : 0) + boxes.reduce((sum, o) => sum + Math.max(0, Math.min(box[2], o[2]) - Math.max(box[0], o[0])) * Math.max(0, Math.min(box[3], o[3]) - Math.max(box[1], o[1])), 0);
      };
      const best = places.find((place) => taken(place) === 0) || places.reduce((a, b) => (taken(b) < taken(a) ? b : a));
      text.setAttribute("x", best[0]);
      text.setAttribute("y", best[1] + 4);
      boxes.push([best[0] - 2, best[1] - 8, best[0] + wide + 2, best[1] + 8]);
      if (Math.abs(best[1] - py) > 20) {
        const from = best[0] > px ? best[0] - 2 : best[0] + wide < px ? best[0] + wide + 2 : px;
        svg.insertBefore(draw("line", { class: "leader", x1: px, y1: py, x2: from, y2: best[1] + (best[1] < py ? 6 : -8) * (from === px) }), svg.querySelector(".dot"));
      }
    }
    const remark = (text) => {
      const p = document.createElement("p");
      p.className = "nothing";
      p.textContent = text;
      holder.append(p);
    };
    if (narrow) remark([...shown].sort((a, b) => a.rank - b.rank).map((r) => `${r.rank} ${r.title}`).join(" · "));
    if (hidden.length) {
      const note = hidden.map((r) => `${r.title} (${figure(board, r.value)}, ${unit(r.costs[cost])})`).join(", ");
      remark(`Off the scale: ${note}.`);
    }
  }

  // A line for each network over the number of labels it learnt from; one from scratch is dashed.
  function labelPlot(holder, board) {
    const { lines, baseline } = board.labels;
    holder.replaceChildren();
    const width = Math.max(280, holder.clientWidth), height = Math.round(Math.min(400, Math.max(280, width * 0.42)));
    const narrow = width < 620;
    const svg = chart(holder, width, height, `${board.metric} against the number of labels`);
    const names = narrow ? 28 : 18 + 7 * Math.max(...lines.map((l) => l.title.length));
    const left = 56, right = width - Math.min(names, width * 0.4), top = 14, bottom = height - 46;
    const every = lines.flatMap((l) => l.points);
    let low = Math.min(...every.map((p) => p[3])), high = Math.max(...every.map((p) => p[4]));
    if (baseline) [low, high] = [Math.min(low, baseline[1]), Math.max(high, baseline[1])];
    const room = 0.05 * (high - low) || 0.01;
    [low, high] = board.share ? [Math.max(0, low - room), Math.min(1, high + room)] : [low - room, high + room];
    const counts = [...new Set(every.map((p) => p[0]))].sort((a, b) => a - b);
    const [from, to] = [Math.log10(counts[0]), Math.log10(counts[counts.length - 1])];
    const inset = 14;
    const x = (v) => left + inset + ((Math.log10(v) - from) / (to - from || 1)) * (right - left - 2 * inset);
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
    for (const t of ticks(low, high, 5)) {
      draw("line", { class: "grid", x1: left, x2: right, y1: y(t), y2: y(t) }, svg);
      draw("text", { x: left - 9, y: y(t) + 4, "text-anchor": "end" }, svg, mark(board, t));
    }
    for (const n of counts) {
      draw("line", { class: "grid", x1: x(n), x2: x(n), y1: top, y2: bottom }, svg);
      const share = every.find((p) => p[0] === n)[1];
      draw("text", { x: x(n), y: bottom + 18, "text-anchor": "middle" }, svg, narrow ? `${short(100 * share)} %` : `${n} (${short(100 * share)} %)`);
    }
    draw("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }, svg);
    draw("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, svg, "Labelled examples, logarithmic");
    if (baseline) {
      draw("line", { class: "base", x1: left, x2: right, y1: y(baseline[1]), y2: y(baseline[1]) }, svg);
      draw("text", { x: left + 4, y: y(baseline[1]) - 6 }, svg, `${baseline[0]}, all labels`);
    }
    // Points at one place step aside a little, so that their whiskers can be told apart.
    const aside = (i) => (i - (lines.length - 1) / 2) * Math.min(5, 24 / lines.length);
    const ends = [];
    lines.forEach((l, i) => {
      const group = draw("g", { class: l.style }, svg);
      const at = l.points.map(([n, , v]) => [x(n) + aside(i), y(v)]);
      draw("path", { class: l.fresh ? "seed-line fresh" : "seed-line", d: "M" + at.map((p) => p.join(" ")).join("L") }, group);
      l.points.forEach(([n, share, v, a, b], k) => {
        const dot = draw("g", { class: "dot" }, group);
        draw("title", {}, dot, `${l.title}, ${n} labels (${short(100 * share)} %): ${figure(board, v)} [${figure(board, a)}, ${figure(board, b)}]`);
        draw("line", { class: "error", x1: at[k][0], x2: at[k][0], y1: y(Math.max(a, low)), y2: y(Math.min(b, high)) }, dot);
        draw("path", { class: l.fresh ? "point" : "point on", d: shape(l.style, ...at[k], 5) }, dot);
      });
      ends.push([...at[at.length - 1], narrow ? String(i + 1) : l.title, at[at.length - 1][1]]);
    });
    // Names stand to the right of the lines' ends, pushed apart where they would touch.
    ends.sort((a, b) => a[1] - b[1]);
    ends.forEach((end, i) => { if (i) end[3] = Math.max(end[3], ends[i - 1][3] + 15); });
    for (let i = ends.length - 1, floor = bottom; i >= 0; i--, floor -= 15) ends[i][3] = Math.min(ends[i][3], floor);
    for (const [, py, text, ty] of ends) {
      draw("text", { class: "label", x: right + 6, y: ty + 4 }, svg, text);
      if (Math.abs(ty - py) > 6) draw("line", { class: "leader", x1: right - inset + 8, y1: py, x2: right + 3, y2: ty }, svg);
    }
    if (narrow) {
      const p = document.createElement("p");
      p.className = "nothing";
      p.textContent = lines.map((l, i) => `${i + 1} ${l.title}`).join(" · ");
      holder.append(p);
    }
  }

  function curvePlot(holder, board, column, over) {
    holder.replaceChildren();
    const lines = (r) => Object.values(r.curves).map((c) => c[over].map((a, i) => [a, c[column] ? c[column][i] : null]).filter(([a, b]) => a !== null && b !== null));
    const trained = board.rows.filter((r) => lines(r).some((line) => line.length));
    const every = trained.flatMap((r) => lines(r).flat());
    if (!every.length) { holder.textContent = "Nothing was recorded."; return; }
    const log = LOSSES.includes(column) && every.every(([, b]) => b > 0);
    const scaled = (v) => (log ? Math.log10(v) : v);
    const sorted = every.map(([, b]) => scaled(b)).sort((a, b) => a - b);
    // The first points of a training may be far away; the lowest hundredth must not squeeze the rest.
    const [below, above] = column !== SCORE ? [0, 0.99] : board.max ? [0.08, 1] : [0, 0.92];
    let low = sorted[Math.floor(sorted.length * below)], high = sorted[Math.ceil(sorted.length * above) - 1];
    if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
    const times = every.map(([a]) => a).filter((a) => !(over === SECONDS && a <= 0));
    const logX = over === SECONDS && Math.max(...times) / Math.min(...times) > 30;
    const along = (v) => (logX ? Math.log10(Math.max(v, Math.min(...times))) : v);
    const [first, last] = [along(Math.min(...times)), along(Math.max(...times))];
    const figures = trained.map((r) => {
      const box = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const chip = document.createElement("span");
      chip.className = `chip ${r.style}`;
      chip.append(document.createElement("i"), r.title);
      const end = document.createElement("span");
      end.className = "last";
      const lasts = lines(r).filter((l) => l.length).map((l) => l[l.length - 1][1]);
      const mean = lasts.reduce((a, b) => a + b, 0) / lasts.length;
      end.textContent = lasts.length ? `ends at ${column !== SCORE ? mean.toPrecision(3) : board.share ? `${(100 * mean).toFixed(1)} %` : figure(board, mean)}` : "";
      caption.append(chip, end);
      box.append(caption);
      holder.append(box);
      return [r, box];
    });
    for (const [r, box] of figures) {
      const width = Math.max(180, box.clientWidth - 24), height = 150;
      const svg = chart(box, width, height, `Training of ${r.title}`);
      const left = 40, right = width - 8, top = 6, bottom = height - 22;
      const x = (v) => left + ((along(v) - first) / (last - first || 1)) * (right - left);
      const y = (v) => bottom - ((scaled(v) - low) / (high - low)) * (bottom - top);
      const marks = log ? logTicks(10 ** low, 10 ** high, 5) : ticks(low, high, 4);
      for (const t of marks) {
        draw("line", { class: "grid", x1: left, x2: right, y1: y(t), y2: y(t) }, svg);
        draw("text", { x: left - 6, y: y(t) + 4, "text-anchor": "end" }, svg, column === SCORE ? mark(board, t) : short(t));
      }
      for (const t of logX ? clockTicks(10 ** first, 10 ** last, 4) : ticks(first, last, 3))
        draw("text", { x: x(t), y: height - 5, "text-anchor": "middle" }, svg, over === SECONDS ? seconds(t) : count(t));
      const path = (line) => line.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      // Lines end at the frame: an inner drawing hides what lies outside it.
      const size = { x: left, y: top - 2, width: right - left + 2, height: bottom - top + 4 };
      const frame = draw("svg", { ...size, viewBox: `${size.x} ${size.y} ${size.width} ${size.height}`, overflow: "hidden" }, svg);
      for (const other of trained) if (other !== r) for (const line of lines(other)) draw("path", { class: "other", d: path(line) }, frame);
      const own = draw("g", { class: r.style }, frame);
      Object.entries(r.curves).forEach(([seed], i) => {
        const line = draw("path", { class: "seed-line", d: path(lines(r)[i]) }, own);
        draw("title", {}, line, `seed ${seed}`);
      });
    }
  }

  function confusionPlot(holder, mixups, board, row) {
    holder.replaceChildren();
    mixups.replaceChildren();
    const n = board.classes.length, counts = row.confusion;
    const totals = new Array(n).fill(0);
    let worst = 0;
    for (const [a, p, c] of counts) { totals[a] += c; if (a !== p) worst = Math.max(worst, c); }
    const numbers = n <= 20;
    const clip = (name) => (name.length > 19 ? name.slice(0, 18) + "…" : name);
    const names = Math.max(44, 14 + 6.4 * Math.max(...board.classes.map((c) => clip(c).length)));
    const room = holder.closest(".confusion").clientWidth - names - 36;
    const cell = numbers ? Math.max(25, Math.min(44, 520 / n, room / n)) : Math.max(4, Math.min(560, room) / n);
    const flat = Math.max(...board.classes.map((c) => c.length)) * 7 < cell;
    const left = names, top = flat ? 44 : 30 + 0.82 * names;
    const svg = chart(holder, left + n * cell + 4, top + n * cell + 4, `Confusion matrix of ${row.title}`);
    draw("text", { x: left, y: 14 }, svg, "predicted →");
    draw("text", { x: left - 7, y: top - 8, "text-anchor": "end" }, svg, "true ↓");
    if (numbers || cell >= 11) board.classes.forEach((name, i) => {
      draw("text", { x: left - 7, y: top + (i + 0.5) * cell + 4, "text-anchor": "end" }, svg, clip(name));
      const at = left + (i + 0.5) * cell;
      draw("text", flat ? { x: at, y: top - 8, "text-anchor": "middle" } : { x: at + 4, y: top - 7, transform: `rotate(-55 ${at + 4} ${top - 7})` }, svg, clip(name));
    });
    draw("rect", { x: left, y: top, width: n * cell, height: n * cell, fill: "var(--sunk)" }, svg);
    for (const [a, p, c] of counts) {
      const same = a === p, weight = same ? c / totals[a] : c / worst;
      const strength = same ? 0.12 + 0.68 * weight ** 2 : 0.12 + 0.78 * weight;
      const group = draw("g", {}, svg);
      draw("title", {}, group, `${board.classes[a]} taken for ${board.classes[p]}: ${c} of ${totals[a]} (${((100 * c) / totals[a]).toFixed(1)} %)`);
      const gap = cell > 12 ? 1 : 0;
      draw("rect", { x: left + p * cell + gap, y: top + a * cell + gap, width: cell - 2 * gap, height: cell - 2 * gap, rx: cell > 12 ? 3 : 0, fill: same ? "var(--ink)" : "var(--bad)", opacity: strength.toFixed(3) }, group);
      if (numbers) draw("text", { class: strength > (same ? 0.6 : 0.72) ? "cell-text flip" : "cell-text", x: left + (p + 0.5) * cell, y: top + (a + 0.5) * cell }, group, c);
    }
    const errors = counts.filter(([a, p]) => a !== p).sort((s, t) => t[2] - s[2] || s[0] - t[0] || s[1] - t[1]).slice(0, 8);
    for (const [a, p, c] of errors) {
      const item = document.createElement("li");
      const pair = document.createElement("span"), meter = document.createElement("span"), share = document.createElement("span");
      const [from, to] = [document.createElement("b"), document.createElement("b")];
      from.textContent = board.classes[a];
      to.textContent = board.classes[p];
      pair.append(from, " taken for ", to);
      meter.className = "meter";
      meter.append(document.createElement("i"));
      meter.firstChild.style.width = `${(100 * c) / worst}%`;
      share.textContent = `${c} of ${totals[a]}`;
      item.append(pair, meter, share);
      mixups.append(item);
    }
    if (!errors.length) { const item = document.createElement("li"); item.textContent = "It made none."; mixups.append(item); }
  }

  // Where each word looks: a row for the word that looks, a column for what it looks at.
  function heatPlot(holder, { words, about, rows }) {
    holder.replaceChildren();
    const clip = (name) => (name.length > 14 ? name.slice(0, 13) + "…" : name);
    const names = 12 + 6.3 * Math.max(...words.map((w) => clip(w).length)), cell = words.length > 40 ? 11 : 15;
    const side = words.length * cell, left = names, top = 14 + 0.82 * names;
    const svg = chart(holder, left + side + 0.6 * names, top + side + 4, "Attention between the words");
    draw("rect", { x: left, y: top, width: side, height: side, fill: "var(--sunk)" }, svg);
    rows.forEach((row, i) => {
      const middle = (i + 0.5) * cell;
      const bold = about.includes(i) ? { class: "label on" } : {};
      draw("text", { ...bold, x: left - 6, y: top + middle + 4, "text-anchor": "end" }, svg, clip(words[i]));
      draw("text", { x: left + middle + 4, y: top - 5, transform: `rotate(-55 ${left + middle + 4} ${top - 5})` }, svg, clip(words[i]));
      row.forEach((percent, j) => {
        if (!percent) return;
        const box = draw("rect", { x: left + j * cell + 0.5, y: top + i * cell + 0.5, width: cell - 1, height: cell - 1, fill: "var(--c)", opacity: Math.min(1, 0.08 + percent / 60).toFixed(2) }, svg);
        draw("title", {}, box, `${words[i]} looks at ${words[j]}: ${percent} %`);
      });
    });
  }

  // A strip of frames one above the other becomes a film; without this script the whole strip stands there.
  function wind(film) {
    const epochs = film.dataset.epochs.split(" "), steps = film.dataset.steps.split(" ");
    if (epochs.length < 2) return;
    const image = film.querySelector("img"), said = film.querySelector("figcaption span");
    const bar = document.createElement("div"), button = document.createElement("button"), slider = document.createElement("input");
    bar.className = "play";
    button.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: epochs.length - 1, step: 1 });
    slider.setAttribute("aria-label", "Epoch");
    bar.append(button, slider);
    film.append(bar);
    film.classList.add("live");
    let timer = 0;
    const show = (i) => {
      slider.value = i;
      slider.setAttribute("aria-valuetext", `epoch ${epochs[i]}`);
      image.style.transform = `translateY(-${steps[i]}%)`;
      said.textContent = `epoch ${epochs[i]} of ${epochs[epochs.length - 1]}`;
    };
    const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
    button.addEventListener("click", () => {
      if (timer) return stop();
      if (+slider.value === epochs.length - 1) show(0);
      button.textContent = "Stop";
      timer = setInterval(() => { show(+slider.value + 1); if (+slider.value === epochs.length - 1) stop(); }, 450);
    });
    slider.addEventListener("input", () => { stop(); show(+slider.value); });
    stop();
    show(epochs.length - 1);
  }

  // Controls: pressed buttons and selections are the state; everything is drawn from them.
  const redraws = [];
  for (const article of document.querySelectorAll(".board")) {
    const board = boards[+article.dataset.board];
    const part = (name) => article.querySelector(`[data-plot="${name}"]`);
    const control = (name) => article.querySelector(`[data-control="${name}"]`);
    const value = (name) => control(name).querySelector('[aria-pressed="true"]').dataset.value;
    const cost = () => costPlot(part("cost"), board, value("cost"));
    const curves = () => part("curves") && curvePlot(part("curves"), board, +value("curve-y"), +value("curve-x"));
    const labels = () => part("labels") && labelPlot(part("labels"), board);
    const confusion = () => part("confusion") && confusionPlot(part("confusion"), part("mixups"), board, board.rows[+control("confusion").value]);
    for (const [name, redraw] of [["cost", cost], ["curve-y", curves], ["curve-x", curves]])
      control(name)?.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        for (const other of control(name).children) other.setAttribute("aria-pressed", String(other === button));
        redraw();
      });
    control("confusion")?.addEventListener("change", confusion);
    // Without this script all explanations stand below each other.
    const explained = () => article.querySelectorAll("[data-explained]").forEach((part) => { part.hidden = part.dataset.explained !== control("explained").value; });
    control("explained")?.addEventListener("change", explained);
    explained();
    for (const heat of article.querySelectorAll("details.heat"))
      heat.addEventListener("toggle", () => {
        const row = board.rows.find((r) => r.title === heat.dataset.heat);
        if (heat.open) heatPlot(heat.querySelector('[data-plot="heat"]'), row.attention[+heat.dataset.case]);
      });
    article.querySelectorAll(".film").forEach(wind);
    redraws.push(cost, labels, curves, confusion);
  }
  const all = () => redraws.forEach((redraw) => redraw());
  all();
  let width = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    // On a phone the address bar changes the height only.
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(all, 120);
  });
})();
