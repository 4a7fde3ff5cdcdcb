"use strict";
// Without this script the whole page is there; it only hides what does not match.
const filter = document.getElementById("filter"), words = document.getElementById("words");
const verdict = document.getElementById("verdict"), shown = document.getElementById("shown");
const claims = [...document.querySelectorAll(".claim")];
const sections = [...document.querySelectorAll("section.exhibit")];
const total = document.querySelectorAll("main [data-row]").length;
const has = (text, wanted) => wanted.every((word) => text.toLowerCase().includes(word));
function apply() {
  const wanted = words.value.toLowerCase().match(/(?:figure|table) \d+|\S+/g) || [];
  let rows = 0;
  for (const claim of claims) {
    claim.hidden = (verdict.value && claim.dataset.verdict !== verdict.value) || !has(claim.textContent, wanted);
  }
  for (const section of sections) {
    const about = section.querySelector("header").textContent + section.querySelector(".facts").textContent;
    const findings = [...section.querySelectorAll(".finding")];
    for (const finding of findings) {
      finding.hidden = (verdict.value && finding.dataset.verdict !== verdict.value) || !has(about + finding.textContent, wanted);
      if (!finding.hidden) rows += finding.querySelectorAll("[data-row]").length;
    }
    section.hidden = findings.length ? findings.every((finding) => finding.hidden) : verdict.value || !has(about, wanted);
  }
  shown.textContent = wanted.length || verdict.value ? rows + " of " + total + " figures and tables" : "";
}
function clear() {
  words.value = verdict.value = "";
  apply();
}
words.addEventListener("input", apply);
verdict.addEventListener("change", apply);
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.closest("[hidden]")) {
    clear();
    target.scrollIntoView();
  }
});
filter.hidden = false;
