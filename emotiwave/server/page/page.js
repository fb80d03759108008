// A client of the service's own API: what it shows came over the same routes, with the same token and limits.

const $ = (id) => document.getElementById(id);
const KINDS = ["video", "audio", "image", "transcript"];
const COLOURS = ["#c8553d", "#7a6c3f", "#6a4c93", "#e0a526", "#3f6fb5", "#2f9c95", "#8c97a1", "#b5567f", "#5d7a3a", "#4a4a8a"];
const SPOILERS = {
  noise: { of: "noise:audio", told: (v) => `${Math.round(-20 * Math.log10(v))} dB` },
  darkness: { of: "darkness:vision", told: (v) => `${Math.round(100 * v)} % gone` },
  blur: { of: "blur:vision", told: (v) => `${v} % wide` },
  truncation: { of: "truncation:text", told: (v) => `${Math.round(100 * v)} %` },
};
const state = { at: 0, files: {}, shown: {}, given: null, found: null, off: new Set(), explained: null, asking: null, urls: [], recorder: null };

// --- what is given

function kindOf(file) {
  const name = file.name.toLowerCase();
  if (/\.(srt|vtt|json|txt)$/.test(name)) return "transcript";
  const kind = file.type.split("/")[0];
  if (KINDS.includes(kind)) return kind;
  if (/\.(wav|mp3|flac|ogg|m4a|aac|opus)$/.test(name)) return "audio";
  if (/\.(png|jpe?g|webp|bmp|gif)$/.test(name)) return "image";
  return "video";
}

function take(files) {
  for (const file of files) state.files[kindOf(file)] = file;
  showChosen();
}

function showChosen() {
  $("chosen").replaceChildren(...KINDS.filter((kind) => state.files[kind]).map((kind) => {
    const remove = element("button", { type: "button", ariaLabel: `Take ${kind} away` }, "×");
    remove.addEventListener("click", () => { delete state.files[kind]; $("files").value = ""; showChosen(); });
    return element("li", {}, element("span", {}, `${kind}: ${state.files[kind].name}`), remove);
  }));
}

function form() {
  const data = new FormData();
  for (const kind of KINDS) if (state.files[kind]) data.append(kind, state.files[kind], state.files[kind].name);
  const text = $("text").value.trim();
  if (text) data.append("text", text);
  for (const [id, spoiler] of Object.entries(SPOILERS)) {
    const severity = Number($(id).value);
    if (severity > 0) data.append("condition", `${spoiler.of}=${severity}`);
  }
  return data;
}

// --- asking

async function send(path, data, signal) {
  const headers = {};
  const token = $("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await reach(path, { method: "POST", body: data, headers, signal });
  const told = await read(answer);
  return answer.status === 202 ? follow(told.url, headers, signal) : told;
}

async function reach(path, how) {
  try {
    return await fetch(path, how);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached.");
  }
}

async function read(answer) {
  const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
  if (answer.ok) return told;
  if (answer.status === 401) $("access").open = true;
  const later = answer.headers.get("retry-after");
  throw new Error(told.error || `the service answered ${answer.status}${later ? `; try again in ${later} s` : ""}`);
}

async function follow(url, headers, signal) {
  $("progress").hidden = false;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    if (signal.aborted) {
      fetch(url, { method: "DELETE", headers });
      throw new DOMException("stopped", "AbortError");
    }
    const job = await read(await reach(url, { headers }));
    $("progress").value = job.progress;
    $("status").textContent = `${job.status}, ${Math.round(100 * job.progress)} %`;
    if (job.status === "done") { fetch(url, { method: "DELETE", headers }); return job.result; }
    if (job.error || job.status === "cancelled") throw new Error(job.error || "stopped");
  }
}

async function asking(work, told) {
  state.asking?.abort();
  const control = state.asking = new AbortController();
  $("error").hidden = true;
  $("status").textContent = told;
  $("stop").hidden = false;
  try {
    await work(control.signal);
    if (state.asking === control) $("status").textContent = "Done.";
  } catch (error) {
    if (state.asking !== control) return;
    $("status").textContent = error.name === "AbortError" ? "Stopped." : "";
    if (error.name === "AbortError") return;
    $("error").textContent = error.message;
    $("error").hidden = false;
  } finally {
    if (state.asking === control) {
      state.asking = null;
      $("stop").hidden = $("progress").hidden = true;
    }
  }
}

const analyse = (isNew) => asking(async (signal) => {
  const given = form(), files = { ...state.files };
  const found = await send("/v1/configurations", given, signal);
  Object.assign(state, { found, given, shown: files });
  state.explained = null;
  if (isNew) state.off = new Set();
  showMedia();
  show();
  if (isNew) { $("result").focus({ preventScroll: true }); $("result").scrollIntoView({ block: "start" }); }
}, "Analysing…");

const explain = () => asking(async (signal) => {
  const data = new FormData(); // of what is shown, whatever was chosen since
  for (const [name, value] of state.given) data.append(name, value);
  data.append("explain", "true");
  data.append("modalities", heard().join(","));
  const [of, names] = [state.found, nameOf(heard())];
  const explained = await send("/v1/analyze", data, signal);
  if (state.found !== of || nameOf(heard()) !== names) return; // something else is shown by now
  state.explained = explained;
  showWords();
}, "Looking for words and moments…");

// --- showing

const heard = () => state.found.modalities.filter((name) => !state.off.has(name));
const nameOf = (names) => names.join("+");

function answer() {
  const names = heard();
  const used = names.filter((name) => whole().modalities[name]?.used);
  return state.found.configurations[nameOf(names)] || state.found.configurations[nameOf(used)] || null;
}

const whole = () => state.found.configurations[nameOf(state.found.modalities)];

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function bar(share) {
  const inner = document.createElement("i");
  inner.style.width = `${Math.max(0, Math.min(100, 100 * share))}%`;
  return inner;
}

function top(analysis) {
  if (!analysis?.emotions) return null;
  return Object.entries(analysis.emotions).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

function show() {
  const found = answer();
  $("result").hidden = false;
  const decision = found && (Array.isArray(found.decision) ? found.decision.join(", ") || "none of them" : found.decision);
  const best = top(found);
  $("decision").textContent = !found || !found.emotions ? "Nothing to judge"
    : `${decision || `not sure, perhaps ${best}`}${found.confidence === null ? "" : ` · ${Math.round(100 * found.confidence)} % sure`}`;
  $("reason").textContent = found ? found.reason || "" : "Every signal that could be judged is switched off.";
  const values = Object.entries(found?.emotions || {}).sort((a, b) => b[1] - a[1]);
  const largest = found?.label_kind === "continuous" ? Math.max(...values.map(([, v]) => Math.abs(v)), 1e-9) : 1;
  $("emotions").replaceChildren(...values.flatMap(([name, value]) => [
    element("span", {}, name),
    element("div", { className: "bar", ariaHidden: "true" }, bar(Math.abs(value) / largest)),
    element("span", { className: "number" }, value.toFixed(2)),
  ]));
  showModalities(found, best);
  showTimeline(found);
  $("why").hidden = !found?.emotions;
  if (!state.explained) $("words").replaceChildren();
  const warnings = found?.warnings || [];
  $("warnings").hidden = !warnings.length;
  $("warnings").querySelector("ul").replaceChildren(...warnings.map((told) => element("li", {}, told)));
}

function showModalities(found, best) {
  $("which").textContent = best ? `Which signal “${best}” came from` : "Which signal it came from";
  const shares = state.found.modalities.map((name) => Math.abs(found?.contributions?.[name]?.[best] || 0));
  const largest = Math.max(...shares, 0.5);
  $("modalities").replaceChildren(...state.found.modalities.map((name) => {
    const use = whole().modalities[name];
    const box = element("input", { type: "checkbox", checked: !state.off.has(name), id: `switch-${name}` });
    box.setAttribute("role", "switch");
    box.addEventListener("change", () => {
      if (box.checked) state.off.delete(name); else state.off.add(name);
      state.explained = null;
      show();
      $(`switch-${name}`).focus();
    });
    const card = element("div", { className: "modality" }, element("label", {}, box, name));
    const value = found?.contributions?.[name]?.[best];
    if (value !== undefined) {
      card.append(element("div", { className: "pull" },
        element("span", { className: "against", ariaHidden: "true" }, bar(value < 0 ? -value / largest : 0)),
        element("span", { className: "for", ariaHidden: "true" }, bar(value > 0 ? value / largest : 0)),
        element("span", { className: "number" }, `${value > 0 ? "+" : ""}${value.toFixed(2)}`)));
    }
    const told = state.off.has(name) ? "switched off" : !use.used ? `ignored: ${use.reason || "nothing could be read"}`
      : use.reason ? `used ${Math.round(100 * use.observed)} %; left out: ${use.reason}` : "";
    if (told) card.append(element("div", { className: "hint" }, told));
    return card;
  }));
}

function showMedia() {
  state.urls.forEach((url) => URL.revokeObjectURL(url));
  state.urls = [];
  const places = { video: $("player"), audio: $("sound"), image: $("photo") };
  for (const [kind, place] of Object.entries(places)) {
    const file = state.shown[kind];
    place.hidden = !file || (kind === "audio" && state.shown.video);
    if (place.hidden) { place.removeAttribute("src"); continue; }
    state.urls.push(URL.createObjectURL(file));
    place.src = state.urls.at(-1);
  }
  $("media").hidden = Object.values(places).every((place) => place.hidden);
}

const player = () => (!$("player").hidden ? $("player") : !$("sound").hidden ? $("sound") : null);
const ending = () => answer()?.timeline.at(-1)?.end || 0;

function showTimeline(found) {
  const moments = found?.timeline || [];
  $("when").hidden = !moments.length;
  if (!moments.length) return;
  $("timeline").setAttribute("aria-valuemax", ending().toFixed(1));
  $("legend").replaceChildren(...found.label_set.map((name, row) => {
    const patch = document.createElement("i");
    patch.style.background = COLOURS[row % COLOURS.length];
    return element("li", {}, patch, name);
  }));
  $("moments").querySelector("tbody").replaceChildren(...moments.slice(0, 300).map((moment) => {
    const best = moment.emotions && Object.entries(moment.emotions).reduce((a, b) => (b[1] > a[1] ? b : a));
    const cells = [moment.start.toFixed(1), moment.end.toFixed(1), best ? best[0] : "nothing to judge", best ? best[1].toFixed(2) : "", moment.modalities.join(", ")];
    return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
  }));
  drawTimeline();
}

function drawTimeline() {
  const found = answer(), canvas = $("timeline"), draw = canvas.getContext("2d");
  if (!found?.timeline.length) return;
  const { width, height } = canvas, end = ending(), colours = getComputedStyle(document.documentElement);
  draw.clearRect(0, 0, width, height);
  for (const moment of found.timeline) {
    const x = width * moment.start / end, wide = Math.max(1, width * (moment.end - moment.start) / end - 1);
    const total = moment.emotions && found.label_set.reduce((sum, name) => sum + Math.max(0, moment.emotions[name]), 0);
    draw.fillStyle = colours.getPropertyValue("--page");
    draw.fillRect(x, 0, wide, height);
    let y = height;
    if (total) found.label_set.forEach((name, row) => {
      const tall = height * Math.max(0, moment.emotions[name]) / total;
      draw.fillStyle = COLOURS[row % COLOURS.length];
      draw.fillRect(x, y - tall, wide, tall);
      y -= tall;
    });
  }
  const at = position();
  draw.fillStyle = colours.getPropertyValue("--ink");
  draw.fillRect(width * Math.min(1, at / end) - 2, 0, 4, height);
  const now = found.timeline.find((moment) => at >= moment.start && at < moment.end) || found.timeline.at(-1);
  const best = now.emotions ? Object.entries(now.emotions).reduce((a, b) => (b[1] > a[1] ? b : a)) : null;
  canvas.setAttribute("aria-valuenow", at.toFixed(1));
  canvas.setAttribute("aria-valuetext", `${at.toFixed(1)} s: ${best ? `${best[0]} ${Math.round(100 * best[1])} %` : "nothing to judge"}`);
}

const position = () => player()?.currentTime ?? Math.min(state.at, ending());

function goTo(seconds) {
  const place = player();
  state.at = Math.max(0, Math.min(ending(), seconds));
  if (place) place.currentTime = state.at;
  drawTimeline();
}

function showWords() {
  const parts = (state.explained?.explanation?.attributions || []).map((found) => {
    const largest = Math.max(...found.spans.map((span) => Math.abs(span.value)), 1e-9);
    const said = element("p", { className: "said" });
    for (const span of found.spans) {
      const label = span.text ?? `${(span.start ?? 0).toFixed(1)}–${(span.end ?? 0).toFixed(1)} s`;
      const value = `${span.value > 0 ? "+" : ""}${span.value.toFixed(2)}`;
      const mark = element("mark", { title: value }, label, element("span", { className: "hidden" }, ` ${value}`));
      const colour = span.value > 0 ? "var(--for)" : "var(--against)";
      mark.style.borderBottomColor = `color-mix(in srgb, ${colour} ${Math.round(100 * Math.abs(span.value) / largest)}%, transparent)`;
      if (span.start !== null && player()) {
        mark.tabIndex = 0;
        mark.setAttribute("role", "button");
        mark.addEventListener("click", () => goTo(span.start));
        mark.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          goTo(span.start);
        });
      }
      said.append(mark, " ");
    }
    return element("div", {}, element("p", { className: "hint" }, `${found.modality}: the stronger the colour, the more it speaks for “${found.target}” (or, in the other colour, against it)`), said);
  });
  $("words").replaceChildren(...(parts.length ? parts : [element("p", { className: "hint" }, "There are no words or moments to tell apart.")]));
}

// --- taking home

function download(name, blob) {
  const url = URL.createObjectURL(blob), link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function picture() {
  const found = answer(), canvas = element("canvas", { width: 1000, height: 620 }), draw = canvas.getContext("2d");
  const colours = getComputedStyle(document.documentElement), of = (name) => colours.getPropertyValue(name);
  draw.fillStyle = of("--surface"); draw.fillRect(0, 0, 1000, 620);
  const write = (text, x, y, font, colour) => { draw.font = font; draw.fillStyle = of(colour); draw.fillText(text, x, y, 620); };
  write($("decision").textContent, 40, 64, "600 34px system-ui, sans-serif", "--ink");
  write(`${whole().input} · heard: ${heard().join(", ") || "nothing"}`, 40, 98, "18px system-ui, sans-serif", "--muted");
  Object.entries(found?.emotions || {}).sort((a, b) => b[1] - a[1]).slice(0, 8).forEach(([name, value], row) => {
    const y = 150 + 36 * row;
    write(name, 40, y, "20px system-ui, sans-serif", "--ink");
    draw.fillStyle = of("--page"); draw.fillRect(190, y - 17, 300, 22);
    draw.fillStyle = of("--accent"); draw.fillRect(190, y - 17, 300 * Math.max(0, Math.min(1, value)), 22);
    write(value.toFixed(2), 505, y, "20px system-ui, sans-serif", "--ink");
  });
  const best = top(found);
  state.found.modalities.forEach((name, row) => {
    const value = found?.contributions?.[name]?.[best], y = 150 + 36 * row;
    write(name, 620, y, "20px system-ui, sans-serif", "--ink");
    write(value === undefined ? "not used" : `${value > 0 ? "+" : ""}${value.toFixed(2)}`, 720, y, "20px system-ui, sans-serif", "--muted");
  });
  write(best ? `contributions to the log-odds of ${best}` : "", 620, 118, "16px system-ui, sans-serif", "--muted");
  if (!$("when").hidden) draw.drawImage($("timeline"), 40, 460, 920, 100);
  write("Emotiwave: what is expressed, not what anybody feels. Not for judging people.", 40, 600, "16px system-ui, sans-serif", "--muted");
  return canvas;
}

// --- recording

async function record(button, wanted, kind) {
  if (state.recorder) { state.recorder.stop(); return; }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    $("error").textContent = `${kind === "video" ? "The camera" : "The microphone"} cannot be used (${error.message}).`;
    $("error").hidden = false;
    return;
  }
  const told = button.textContent, parts = [], recorder = state.recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    stream.getTracks().forEach((track) => track.stop());
    state.recorder = null;
    button.textContent = told;
    button.setAttribute("aria-pressed", "false");
    $("preview").hidden = true;
    state.files = {}; // what was chosen before is of something else
    take([new File(parts, `recording.${kind === "video" ? "webm" : "weba"}`, { type: `${kind}/webm` })]);
  });
  recorder.start();
  button.textContent = "Stop recording";
  button.setAttribute("aria-pressed", "true");
  if (kind === "video") { $("preview").srcObject = stream; $("preview").hidden = false; $("preview").play(); }
}

// --- what happens when

$("form").addEventListener("submit", (event) => { event.preventDefault(); analyse(true); });
$("files").addEventListener("change", () => take($("files").files));
$("stop").addEventListener("click", () => state.asking?.abort());
$("explain").addEventListener("click", explain);
$("json").addEventListener("click", () => download("emotiwave.json", new Blob([JSON.stringify(state.explained || answer(), null, 1)], { type: "application/json" })));
$("png").addEventListener("click", () => picture().toBlob((blob) => download("emotiwave.png", blob)));
$("camera").addEventListener("click", () => record($("camera"), { video: true, audio: true }, "video"));
$("microphone").addEventListener("click", () => record($("microphone"), { audio: true }, "audio"));
$("token").addEventListener("change", () => sessionStorage.setItem("token", $("token").value));
$("example").addEventListener("click", () => asking(async (signal) => {
  const [clip, words] = await Promise.all(["sample.mp4", "sample.srt"].map(async (name) => {
    const answered = await fetch(`/examples/${name}`, { signal });
    if (!answered.ok) throw new Error(`the example cannot be read (${answered.status})`);
    return new File([await answered.blob()], name, { type: answered.headers.get("content-type") });
  }));
  state.files = {};
  $("text").value = "";
  take([clip, words]);
  setTimeout(() => analyse(true));
}, "Fetching the example…"));
for (const event of ["dragover", "dragleave", "drop"]) $("drop").addEventListener(event, (happened) => {
  happened.preventDefault();
  $("drop").classList.toggle("over", event === "dragover");
  if (event === "drop") take(happened.dataTransfer.files);
});
let waiting;
for (const [id, spoiler] of Object.entries(SPOILERS)) $(id).addEventListener("input", () => {
  const severity = Number($(id).value);
  $(`${id}-told`).textContent = severity ? spoiler.told(severity) : "none";
  clearTimeout(waiting);
  if (state.found) waiting = setTimeout(() => analyse(false), 400);
});
function scrub(event) {
  const box = $("timeline").getBoundingClientRect();
  goTo(ending() * (event.clientX - box.left) / box.width);
}
$("timeline").addEventListener("pointerdown", (event) => { $("timeline").setPointerCapture(event.pointerId); scrub(event); });
$("timeline").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
$("timeline").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -1e9, End: 1e9 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  goTo(position() + step);
});
for (const place of [$("player"), $("sound")]) place.addEventListener("timeupdate", drawTimeline);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.found && drawTimeline());
fetch("/readyz").then((answer) => answer.json()).then((told) => {
  if (told.status === "loading") $("status").textContent = "The service is reading its models; it answers in some seconds.";
}).catch(() => {});
$("token").value = sessionStorage.getItem("token") || "";
if (!window.isSecureContext || !navigator.mediaDevices) {
  $("insecure").hidden = false;
  $("camera").disabled = $("microphone").disabled = true;
}
