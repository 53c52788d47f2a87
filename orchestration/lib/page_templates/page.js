(function () {
  "use strict";
  var names = ["ru", "en"];
  function button(name) { return document.getElementById("language-" + name); }
  function remember(name) {
    document.documentElement.lang = name;
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
  // A choice made in one language holds in the other.
  document.addEventListener("change", function (event) {
    var choice = event.target.getAttribute("data-choice");
    if (!choice) { return; }
    document.querySelectorAll("input[data-choice]").forEach(function (other) {
      if (other.getAttribute("data-choice") === choice) { other.checked = true; }
    });
  });
  // A link to a card that lies one tap deeper opens it.
  function open() {
    var at = location.hash && document.getElementById(location.hash.slice(1));
    if (at && at.tagName === "DETAILS") { at.open = true; }
  }
  window.addEventListener("hashchange", open);
  open();
  document.querySelectorAll(".stale").forEach(function (line) {
    var fresh = Date.parse(line.getAttribute("data-fresh"));
    if (fresh && Date.now() - fresh > 48 * 3600 * 1000) { line.hidden = false; }
  });
})();
