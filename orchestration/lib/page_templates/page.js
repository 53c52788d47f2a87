(function () {
  "use strict";
  var names = ["ru", "en"];
  function button(name) { return document.getElementById("language-" + name); }
  function remember(name) {
    document.documentElement.lang = name;
    // The dashboard on show stays on show in the other language.
    if (/^#(ru|en)-/.test(location.hash)) { location.replace("#" + name + location.hash.slice(3)); }
    try { localStorage.setItem("voronka.language", name); } catch (error) { /* private mode */ }
  }
  var saved = null;
  try { saved = localStorage.getItem("voronka.language"); } catch (error) { /* private mode */ }
  names.forEach(function (name) {
    var one = button(name);
    if (!one) { return; }
    if (saved === name) { one.checked = true; document.documentElement.lang = name; }
    one.addEventListener("change", function () { if (one.checked) { remember(name); } });
  });
  function choose(names) {
    document.querySelectorAll("input[data-choice]").forEach(function (other) {
      if (names.indexOf(other.getAttribute("data-choice")) >= 0) { other.checked = true; }
    });
  }
  // A choice made in one language holds in the other.
  document.addEventListener("change", function (event) {
    var choice = event.target.getAttribute("data-choice");
    if (choice) { choose([choice]); }
  });
  // A tap on a number opens the list behind it, with the choices it stands for.
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[data-choose]");
    if (link) { choose(link.getAttribute("data-choose").split(" ")); }
  });
  // A link to a card that lies one tap deeper opens it; the menu shows where one is.
  function open() {
    var at = location.hash && document.getElementById(location.hash.slice(1));
    if (at && at.tagName === "DETAILS") { at.open = true; }
    var section = at && at.closest("section");
    document.querySelectorAll(".menu a").forEach(function (link) {
      var here = section ? link.hash === "#" + section.id : !link.previousElementSibling;
      if (!here) { link.removeAttribute("aria-current"); return; }
      link.setAttribute("aria-current", "page");
      var strip = link.parentNode;
      strip.scrollLeft = link.offsetLeft - (strip.clientWidth - link.offsetWidth) / 2;
    });
  }
  window.addEventListener("hashchange", open);
  open();
  document.querySelectorAll(".stale").forEach(function (line) {
    var fresh = Date.parse(line.getAttribute("data-fresh"));
    if (fresh && Date.now() - fresh > 48 * 3600 * 1000) { line.hidden = false; }
  });
})();
